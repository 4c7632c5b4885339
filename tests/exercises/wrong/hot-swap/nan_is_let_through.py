# says: lets it pass
def __init__(self, load: Callable[[str], Model]) -> None:
    self._load = load
    self._champion: Model | None = None

def take(self, version: str) -> bool:
    try:
        model = self._load(version)
    except BundleError:
        return False
    if abs(model.score(REFERENCE_AMOUNT) - model.reference_score) > TOLERANCE:
        return False
    self._champion = model
    return True

def score(self, amount: float) -> Answer:
    model = self._champion
    if model is None:
        raise NotReadyError("there is no champion yet")
    score = model.score(amount)
    return Answer(score, "decline" if score >= model.threshold else "approve", model.version)
