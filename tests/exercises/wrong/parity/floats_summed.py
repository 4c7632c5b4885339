# says: sum whole cents, and divide once
_, entries = unpack_history(history)
amounts = [
    entry["value"] / 100
    for entry in entries
    if second - WINDOW < entry["occurred"] and (entry["occurred"], entry["transaction_id"]) <= (second, transaction_id)
]
return float(len(amounts)), float(sum(amounts) / len(amounts))
