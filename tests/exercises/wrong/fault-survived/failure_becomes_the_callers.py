# says: The store's failure becomes the caller's
def __init__(self, store: Store) -> None:
    self._store = store
    self._in_use = True
    self._left: dict[int, Payment] = {}

async def score(self, payment: Payment) -> Answer:
    """Answer one payment."""
    if self._in_use:
        try:
            return Answer(payment.id, await self._add(payment), degraded=False)
        except TimeoutError:
            self._in_use = False
    self._left[payment.id] = payment
    return Answer(payment.id, 1, degraded=True)

async def mend(self) -> bool:
    """Put in what is left, then use the store again."""
    try:
        # More may come while this waits: it is done when nothing is left.
        while self._left:
            payment = next(iter(self._left.values()))
            await self._add(payment)
            self._left.pop(payment.id, None)
    except (ConnectionError, TimeoutError):
        return False
    self._in_use = True
    return True

async def _add(self, payment: Payment) -> int:
    async with asyncio.timeout(TIMEOUT_SECONDS):
        return await self._store.add(payment)
