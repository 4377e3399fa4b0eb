"""English sentences for the synthetic corpus, from a small grammar of our own.

A pattern is a sequence of plain words and of slots in braces. A seeded generator fills each slot
from its word list. The lists have all vowels and consonants of English in many contexts; their
meaning does not matter.
"""

import re

import numpy as np

WORDS = {
    "who": "my uncle|the young doctor|our new teacher|the tall waiter|her little brother|"
    "an old sailor|the village baker|their youngest daughter|the quiet librarian|his cousin|"
    "the busy manager|a friendly neighbour|the famous writer|our guide|the night watchman|"
    "the chess champion|a tired nurse|the shoemaker|your grandfather|the French chef|"
    "the choir|a group of students|the mayor|the judge|one of the pilots|the blonde girl",
    "name": "Martha|George|Philip|Joyce|Hugh|Caroline|Vincent|Theo|Agnes|Walter|Yvonne|Zachary|"
    "Beatrice|Oliver|Ruth|Jonathan|Fiona|Charles|Eve|Douglas|Shirley|Ivan|Leo|Noah",
    "did": "carried|found|forgot|painted|borrowed|repaired|noticed|washed|measured|sold|"
    "photographed|chose|described|pushed|brought|polished|hid|unlocked|counted|threw away|"
    "asked for|dropped|admired|collected|wrapped|weighed|exchanged|followed",
    "do": "carry|find|paint|borrow|repair|watch|measure|sell|choose|describe|push|bring|polish|"
    "hide|unlock|count|collect|wrap|weigh|exchange|move|empty|study|charge",
    "how": "heavy|green|wooden|broken|shiny|yellow|ancient|tiny|square|purple|dusty|cheap|"
    "fragile|enormous|white|rusty|precious|silver|ordinary|smooth|loose|royal|orange|thick",
    "thing": "lamp|bicycle|umbrella|jacket|violin|clock|suitcase|teapot|ladder|mirror|basket|"
    "television|engine|bottle|cheese|puzzle|oven|garage door|fishing boat|radio|chair|blanket",
    "things": "boxes|chairs|keys|maps|newspapers|shoes|curtains|shelves|toys|earrings|oysters|"
    "wheels|bulbs|pictures|gloves|envelopes|trousers|jewels|matches|loaves|charts|young trees",
    "where": "in the kitchen|near the harbour|behind the church|under the bridge|at the station|"
    "across the river|on the balcony|beside the museum|by the fire|in a small village|"
    "outside the theatre|above the workshop|on the northern shore|at the airport|"
    "between two houses|next to the school|in the royal garden|over the hill",
    "when": "before noon|on Thursday|last winter|early this morning|at a quarter past five|"
    "twice a week|in February|after the storm|during the holidays|every other year|tonight|"
    "just before midnight|in the middle of June|on the eleventh of August|two hours ago|"
    "as usual|without any trouble|for the third time",
    "number": "two|three|five|six|seven|eight|nine|eleven|twelve|fourteen|fifteen|eighteen|"
    "twenty|thirty four|forty one|fifty nine|sixty six|seventy three|eighty|ninety seven",
    "why": "because it was raining|since nobody else was there|although the price was too high|"
    "while the children were asleep|so that we could go home|when the bell rang|"
    "unless the road is closed|if you can wait a moment|as soon as the snow had gone|"
    "even though she was joking|until the money ran out|just as the choir began to sing",
    "food": "fresh bread|apple juice|roast chicken|vegetable soup|ginger biscuits|black coffee|"
    "goat cheese|boiled eggs|cherry pie|fried fish|chocolate pudding|rice and beans",
    "please": "please|could you|would you kindly|you should probably|remember to|we need to|"
    "I would rather|let us|they refused to|it is time to|nobody wants to|why not",
}
PATTERNS = (
    "{who} {did} the {how} {thing} {when}.",
    "{please} {do} {number} {how} {things} {where}.",
    "{when}, {name} {did} the {how} {things} {where}.",
    "{name} {did} the {thing}, {why}.",
    "there were {number} {how} {things} {where}.",
    "{who} said that {name} {did} the {thing} {when}.",
    "{why}, {name} ordered {food} and {food}.",
    "{please} {do} the {thing} and give {name} the {food}.",
    "did {name} tell {who} about the {how} {thing}?",
    "the {thing} {where} cost {number} pounds.",
    "I think {name} {did} the {how} {things}, {why}.",
    "{number} of the {how} {things} belong to {name}, not to {who}.",
)
_LISTS = {slot: words.split("|") for slot, words in WORDS.items()}


def draw_sentence(rng: np.random.Generator) -> str:
    """Return one sentence of about 7 to 16 words; a thousand million sentences are possible."""
    pattern = PATTERNS[rng.integers(len(PATTERNS))]
    text = re.sub(
        r"\{(\w+)\}", lambda slot: _LISTS[slot[1]][rng.integers(len(_LISTS[slot[1]]))], pattern
    )
    return text[0].upper() + text[1:]
