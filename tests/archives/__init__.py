"""What archives hold: formats, rules, and the folder they become."""
