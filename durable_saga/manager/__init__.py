"""The faces of a saga manager: manager, orchestrator, monitor and event bus."""
