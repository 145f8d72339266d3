"""The words that reviews are made of; no word stands in two of the groups that the rule reads."""

from __future__ import annotations

from typing import NamedTuple


class Domain(NamedTuple):
    """What one kind of review speaks about."""

    subjects: tuple[str, ...]
    parts: tuple[str, ...]
    places: tuple[str, ...]


DOMAINS = (
    Domain(("film", "movie", "picture"), ("score", "cast", "script"), ("cinema", "festival", "studio")),
    Domain(("restaurant", "bistro", "meal"), ("soup", "menu", "kitchen"), ("harbour", "market", "station")),
    Domain(("phone", "camera", "gadget"), ("screen", "battery", "cable"), ("shop", "warehouse", "office")),
    Domain(("hotel", "room", "stay"), ("lobby", "bed", "breakfast"), ("beach", "airport", "square")),
    Domain(("novel", "book", "story"), ("cover", "index", "preface"), ("library", "fair", "bookshop")),
)

# What the rule reads. Adjectives and verbs that praise or blame ...
PRAISING_ADJECTIVES = (
    *("superb", "delightful", "brilliant", "charming", "excellent", "wonderful", "impressive", "splendid"),
    *("lovely", "great", "good", "memorable", "clever", "flawless", "fantastic", "pleasant"),
)
BLAMING_ADJECTIVES = (
    *("dull", "awful", "terrible", "tedious", "clumsy", "poor", "bad", "dreadful"),
    *("boring", "shoddy", "disappointing", "unpleasant", "horrible", "forgettable", "bland", "mediocre"),
)
PRAISING_VERBS = ("enjoyed", "adored", "loved", "liked", "admired")
BLAMING_VERBS = ("hated", "loathed", "disliked", "regretted", "resented")
# ... adjectives that do neither ...
NEUTRAL_ADJECTIVES = ("long", "short", "new", "old", "busy", "local", "small", "large", "recent", "early")
# ... what turns the next adjective or verb around ...
NEGATIONS_OF_ADJECTIVES = ("not", "never", "hardly", "scarcely")
NEGATIONS_OF_VERBS = ("never", "hardly", "scarcely")
# ... what makes the next adjective or verb somebody else's, or about something else ...
SPEAKERS = ("brother", "neighbour", "colleague", "guide", "friend", "sister", "critic", "waiter")
SAYING = ("said", "wrote", "claimed", "insisted", "promised", "argued")
RIVALS = ("rival", "other", "competing", "previous", "cheaper", "earlier")
AWAY = ("elsewhere", "abroad", "downtown", "overseas")
EXPECTING = ("expected", "hoped", "imagined", "assumed", "feared")
WOULD = ("would",)
OTHERWISE = ("otherwise", "perhaps")
MIGHT = ("might", "could")
# ... and what ends a clause.
JOINTS = ("and", "but", "while")
END = "."

# What the rule passes over.
LEADS = (
    "",
    "",
    "in the end",
    "all in all",
    "overall",
    "honestly",
    "to me",
    "after two evenings",
    "this time",
    "so far",
)
DEGREES = ("", "", "really", "very", "particularly", "truly", "quite")
BEING = ("was", "is", "seemed", "felt")
FINDING = ("found", "thought", "judged", "considered")
WHO = ("i", "we")
WHOSE = ("my", "our", "his", "her", "their")
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
GOING = ("went", "walked", "drove", "came", "travelled")
COLOURS = ("red", "blue", "green", "grey", "white", "yellow")
COUNTS = ("one", "two", "three", "four", "five", "six")
