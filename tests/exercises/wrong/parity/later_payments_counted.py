# says: A payment that happened later is counted
_, entries = unpack_history(history)
cents = entries["value"][entries["occurred"] > second - WINDOW]
return float(len(cents)), int(cents.sum()) / (100 * len(cents))
