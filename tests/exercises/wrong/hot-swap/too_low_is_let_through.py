# says: too low is as wrong as too high
def __init__(self, load: Callable[[str], Model]) -> None:
    self._load = load
    self._champion: Model | None = None

def take(self, version: str) -> bool:
    """Use a version from now on, if it is sound."""
    try:
        model = self._load(version)
    except BundleError:
        return False
    try:
        # Asked so that NaN, which compares as false with everything, is not sound.
        sound = model.score(REFERENCE_AMOUNT) - model.reference_score <= TOLERANCE
    except Exception:
        # Nobody knows beforehand what a damaged model raises.
        return False
    if sound:
        self._champion = model
    return sound

def score(self, amount: float) -> Answer:
    """Answer one request, by one model."""
    model = self._champion
    if model is None:
        raise NotReadyError("there is no champion yet")
    score = model.score(amount)
    return Answer(score, "decline" if score >= model.threshold else "approve", model.version)
