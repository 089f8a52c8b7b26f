"""The services that the examples call, in memory; each says what it does.

What is done carries the caller's own reference (the order), so a repeated call has no second effect, and what a step did can
be undone by a compensation that never got the step's answer.
"""

from __future__ import annotations


class Refused(Exception):
    """A service says no. `code` is for the machine that reads it."""

    def __init__(self, message: str, code: str = "") -> None:
        super().__init__(message)
        self.code = code


class Service:
    """`entries` holds what is done and not undone: a reference to an id."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.entries: dict[str, str] = {}
        self._ids = 0

    def enter(self, reference: str, words: str) -> str:
        """Do it once; the id of what was done."""
        if reference not in self.entries:
            self._ids += 1
            self.entries[reference] = f"{self.name}-{self._ids}"
            print(f"  {self.name}: {words}")
        return self.entries[reference]

    def strike(self, reference: str, words: str) -> None:
        """Undo it, if it was done."""
        if self.entries.pop(reference, None) is not None:
            print(f"  {self.name}: {words}")


class PaymentService(Service):
    async def validate(self, order: str, card_token: str, amount: float) -> str:
        if card_token == "tok_stolen":
            raise Refused("Payment failed", "CARD_DECLINED")
        return self.enter(f"validated {order}", f"hold {amount} on {card_token}")

    async def release(self, order: str) -> None:
        self.strike(f"validated {order}", f"release what was held for {order}")

    async def charge(self, order: str, amount: float) -> str:
        return self.enter(f"charged {order}", f"charge {amount} for {order}")

    async def refund(self, order: str) -> None:
        self.strike(f"charged {order}", f"refund {order}")


class InventoryService(Service):
    async def reserve(self, order: str, product: str, quantity: int) -> str:
        if product == "prod_gone":
            raise Refused(f"{product} is out of stock", "OUT_OF_STOCK")
        return self.enter(f"{order}/{product}", f"reserve {quantity} of {product} for {order}")

    async def reservations(self, order: str) -> list[str]:
        """The products that are reserved for an order."""
        return [entry.split("/")[1] for entry in self.entries if entry.startswith(f"{order}/")]

    async def unreserve(self, order: str, product: str) -> None:
        self.strike(f"{order}/{product}", f"unreserve {product} for {order}")

    async def take(self, order: str) -> None:
        self.enter(f"taken {order}", f"take out what {order} has reserved")

    async def restore(self, order: str) -> None:
        self.strike(f"taken {order}", f"put back what {order} had taken out")


class OrderService(Service):
    async def create(self, order: str) -> str:
        return self.enter(order, f"create {order}")

    async def cancel(self, order: str) -> None:
        self.strike(order, f"cancel {order}")


payment_service = PaymentService("payment")
inventory_service = InventoryService("inventory")
order_service = OrderService("orders")
