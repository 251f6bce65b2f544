"""How good the chosen schedules are: against many others, measured."""
