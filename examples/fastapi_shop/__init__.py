"""An order service with FastAPI. See docs/frameworks.md.

uvicorn examples.fastapi_shop.application:app
"""
