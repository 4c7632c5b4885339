# says: The limit is for each call, not for mend as a whole
def __init__(self, store: Store) -> None:
    self._store = store
    self._in_use = True
    self._left: dict[int, Payment] = {}


async def score(self, payment: Payment) -> Answer:
    if self._in_use:
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                return Answer(payment.id, await self._store.add(payment), degraded=False)
        except (ConnectionError, TimeoutError):
            self._in_use = False
    self._left[payment.id] = payment
    return Answer(payment.id, 1, degraded=True)


async def mend(self) -> bool:
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            while self._left:
                payment = next(iter(self._left.values()))
                await self._store.add(payment)
                self._left.pop(payment.id, None)
    except (ConnectionError, TimeoutError):
        return False
    self._in_use = True
    return True
