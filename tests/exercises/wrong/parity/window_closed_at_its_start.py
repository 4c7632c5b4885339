# says: A payment exactly 7 days before is counted
_, entries = unpack_history(history)
occurred, ids = entries["occurred"], entries["transaction_id"]
not_later = (occurred < second) | ((occurred == second) & (ids <= transaction_id))
cents = entries["value"][not_later & (occurred >= second - WINDOW)]
return float(len(cents)), int(cents.sum()) / (100 * len(cents))
