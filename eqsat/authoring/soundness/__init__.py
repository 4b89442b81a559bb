"""Whether rules are sound: random instances of their left sides, both sides evaluated, and a verdict for each rule."""
