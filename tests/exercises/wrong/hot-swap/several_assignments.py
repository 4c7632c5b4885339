# says: half old and half new
def __init__(self, load):
    self._load = load
    self._score = self._threshold = self._version = None

def take(self, version):
    try:
        model = self._load(version)
    except BundleError:
        return False
    if not abs(model.score(REFERENCE_AMOUNT) - model.reference_score) <= TOLERANCE:
        return False
    self._score = model.score
    self._threshold = model.threshold
    self._version = model.version
    return True

def score(self, amount):
    if self._version is None:
        raise NotReadyError("there is no champion yet")
    score = self._score(amount)
    return Answer(score, "decline" if score >= self._threshold else "approve", self._version)
