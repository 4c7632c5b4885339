# says: ranked ties one by one
order = np.argsort(-scores, kind="stable")
ranked = frauds[order]
precision = np.cumsum(ranked) / np.arange(1, len(ranked) + 1)
average_precision = precision[ranked].mean()
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
