"""The commands, one module per noun: `add(nouns)` declares, the rest carries out."""
