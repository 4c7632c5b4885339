# says: The payment itself is left out
_, entries = unpack_history(history)
occurred, ids = entries["occurred"], entries["transaction_id"]
before = (occurred < second) | ((occurred == second) & (ids < transaction_id))
cents = entries["value"][before & (occurred > second - WINDOW)]
if len(cents) == 0:
    return 0.0, 0.0
return float(len(cents)), int(cents.sum()) / (100 * len(cents))
