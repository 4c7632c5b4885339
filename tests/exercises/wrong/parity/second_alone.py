# says: The second alone does not order payments
_, entries = unpack_history(history)
occurred = entries["occurred"]
cents = entries["value"][(occurred > second - WINDOW) & (occurred <= second)]
return float(len(cents)), int(cents.sum()) / (100 * len(cents))
