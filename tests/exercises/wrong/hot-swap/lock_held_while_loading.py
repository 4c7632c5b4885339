# says: A lock must not be held while loading
def __init__(self, load):
    import threading

    self._load = load
    self._lock = threading.Lock()
    self._champion = None

def take(self, version):
    with self._lock:
        try:
            model = self._load(version)
        except BundleError:
            return False
        if not abs(model.score(REFERENCE_AMOUNT) - model.reference_score) <= TOLERANCE:
            return False
        self._champion = model
    return True

def score(self, amount):
    with self._lock:
        model = self._champion
    if model is None:
        raise NotReadyError("there is no champion yet")
    score = model.score(amount)
    return Answer(score, "decline" if score >= model.threshold else "approve", model.version)
