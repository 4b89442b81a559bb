"""The rule author's workshop: whether rules are sound, new rules found, rules shown, tested and measured."""
