# says: The exception of a damaged bundle escapes
def __init__(self, load: Callable[[str], Model]) -> None:
    self._load = load
    self._champion: Model | None = None

def take(self, version: str) -> bool:
    model = self._load(version)
    # Written so that NaN, which compares as false with everything, is refused.
    if not abs(model.score(REFERENCE_AMOUNT) - model.reference_score) <= TOLERANCE:
        return False
    self._champion = model
    return True

def score(self, amount: float) -> Answer:
    model = self._champion
    if model is None:
        raise NotReadyError("there is no champion yet")
    score = model.score(amount)
    return Answer(score, "decline" if score >= model.threshold else "approve", model.version)
