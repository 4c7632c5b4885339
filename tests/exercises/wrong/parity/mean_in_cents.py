# says: The mean is in cents
_, entries = unpack_history(history)
occurred, ids = entries["occurred"], entries["transaction_id"]
not_later = (occurred < second) | ((occurred == second) & (ids <= transaction_id))
cents = entries["value"][not_later & (occurred > second - WINDOW)]
return len(cents), cents.mean()
