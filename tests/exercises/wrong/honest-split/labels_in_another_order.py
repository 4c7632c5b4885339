# says: the labels are those of other payments
by_time = np.argsort(occurred)
end = trained_at + test_days * DAY
training = by_time[occurred[by_time] < trained_at - LABEL_DELAY]
test = by_time[(occurred[by_time] >= trained_at) & (occurred[by_time] < end)]
return HonestSplit(
    training,
    known_at(occurred, reported, trained_at)[np.sort(training)],
    test,
    known_at(occurred, reported, end + LABEL_DELAY)[np.sort(test)],
)
