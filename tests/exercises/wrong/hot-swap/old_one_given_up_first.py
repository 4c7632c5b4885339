# says: The old model was given up before the new one was there
def __init__(self, load):
    self._load = load
    self._champion = None

def take(self, version):
    old, self._champion = self._champion, None
    try:
        model = self._load(version)
    except BundleError:
        self._champion = old
        return False
    if not abs(model.score(REFERENCE_AMOUNT) - model.reference_score) <= TOLERANCE:
        self._champion = old
        return False
    self._champion = model
    return True

def score(self, amount):
    model = self._champion
    if model is None:
        raise NotReadyError("there is no champion yet")
    score = model.score(amount)
    return Answer(score, "decline" if score >= model.threshold else "approve", model.version)
