"""What archives hold: safe and parallel extraction; knows nothing of DVC, git or Azure."""
