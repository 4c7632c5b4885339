# says: That is accuracy
average_precision = np.mean((scores >= 0.5) == frauds)
found: set[int] = set()
shares = []
for day in np.unique(days):
    today = days == day
    stolen = set(cards[today & frauds].tolist())
    highest = {card: scores[today & (cards == card)].max() for card in set(cards[today].tolist()) - found}
    looked_at = sorted(highest, key=lambda card: (-highest[card], card))[:top]
    hits = stolen.intersection(looked_at)
    found |= hits
    shares.append(len(hits) / top)
return {"average_precision": float(average_precision), "card_precision": float(np.mean(shares))}
