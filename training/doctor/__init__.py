"""The data doctor: which photos are damaged, doubled, odd or wrongly labelled, judged by features and pixels."""
