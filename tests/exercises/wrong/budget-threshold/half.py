# says: 0.5 is no natural threshold
chosen = Thresholds(review=0.5, decline=0.5)
return chosen, 1_000 * cost_of(test, chosen, costs) / len(test.scores)
