# says: the champion was looked up more than once
def __init__(self, load: Callable[[str], Model]) -> None:
    self._load = load
    self._champion: Model | None = None

def take(self, version: str) -> bool:
    try:
        model = self._load(version)
    except BundleError:
        return False
    # Written so that NaN, which compares as false with everything, is refused.
    if not abs(model.score(REFERENCE_AMOUNT) - model.reference_score) <= TOLERANCE:
        return False
    self._champion = model
    return True

def score(self, amount: float) -> Answer:
    model = self._champion
    if model is None:
        raise NotReadyError("there is no champion yet")
    score = self._champion.score(amount)
    decision = "decline" if score >= self._champion.threshold else "approve"
    return Answer(score, decision, self._champion.version)
