"""The learned searches: step by step by a policy, and the choice between that and saturation."""
