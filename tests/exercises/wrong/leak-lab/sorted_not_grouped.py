# says: Shift within each customer
training, test = split_in_time(payments, trained_at)
honest = score(training, test, FEATURES)

in_order = payments.sort_values(["customer_id", "occurred", "transaction_id"])
of_customer = in_order["occurred"]
timed = payments.assign(
    since_previous=(in_order["occurred"] - of_customer.shift(1)).fillna(NONE),
    until_next=(of_customer.shift(-1) - in_order["occurred"]).fillna(NONE),
)
timed_split = split_in_time(timed, trained_at)
looking_back = score(*timed_split, [*FEATURES, "since_previous"])
looking_ahead = score(*timed_split, [*FEATURES, "until_next"])

thinned_training = thin_out(training)
return {
    "random_split": score(*split_at_random(payments, trained_at), FEATURES) - honest,
    "forward_shift": looking_ahead - looking_back,
    "thinned_first": score(thinned_training, thin_out(test), FEATURES) - score(thinned_training, test, FEATURES),
    "balance_after": score(training, test, [*FEATURES, "balance_after"]) - honest,
}
