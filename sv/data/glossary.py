"""One sentence on every figure that a training logs and a report shows.

This is the one table: ``docs/glossary.md`` is written from it, the page of a report links its names
to it, and TensorBoard shows it as the text "glossary".
"""

from collections.abc import Iterable

TRAINING = {
    "epoch": "The number of an epoch, a pass over the training set; the first is 1.",
    "loss": "What the training minimises, the mean over an epoch; compare it only with itself and "
    "with chance, because other settings have another scale.",
    "chance": "The loss of embeddings that are all alike; a loss that stays there has learned "
    "nothing, and the first loss may lie above it, because random embeddings differ.",
    "lr": "The learning rate of the last step of the epoch.",
    "seconds": "The time of the epoch.",
    "crops_per_second": "Crops that the network received in a second; the speed of the training.",
    "data_wait": "The share of the time that was spent waiting for crops; above 0.05, raise "
    "train.workers.",
    "rank": "The effective rank of the embeddings of a batch, exp of the entropy of their singular "
    "values; 1 means that they lie on a line, a collapse.",
    "positive_cosine": "The mean cosine of pairs that should be alike, such as two crops of an "
    "utterance; it should rise.",
    "negative_cosine": "The mean cosine of pairs of different utterances or speakers; it should "
    "stay well below positive_cosine.",
    "hardest_cosine": "The mean over the batch of the largest cosine with an utterance of another "
    "speaker.",
    "clean_cosine": "The mean cosine of a crop and of the same crop without augmentation.",
    "accuracy": "The share of utterances whose class is found; the classes are speakers, or "
    "clusters in a training without labels.",
    "temperature": "The temperature of the loss, if it is learned or scheduled; a lower one counts "
    "hard negatives more.",
    "margin": "The margin of the loss in this epoch, if it is scheduled.",
    "contrastive_share": "The weight of the contrastive part of a loss of two parts.",
    "std": "The standard deviation of the outputs over a batch, 1 for points spread over a sphere; "
    "near 0 the outputs have collapsed.",
    "output_entropy": "The mean entropy of the output for one crop; 0 means that one output wins.",
    "usage_entropy": "The entropy of the mean output over a batch; if it equals output_entropy, "
    "all crops have the same output, a collapse.",
    "entropy_ceiling": "The largest possible entropy, ln K for K outputs.",
    "kl": "The divergence of the student's output from the teacher's: the loss without the "
    "teacher's own entropy.",
    "prototype_loss": "The part of the loss that compares embeddings with prototypes of clusters.",
    "clusters_used": "The number of clusters that have a member.",
    "clusters_empty": "The number of clusters without a member.",
    "cluster_median": "The median number of members of a cluster.",
    "cluster_largest": "The number of members of the largest cluster.",
    "clustered": "The share of utterances that share their cluster with another utterance.",
    "coverage": "The share of utterances for which SSPS found a positive from another recording.",
    "found_speaker": "The share of utterances that got a positive of their own speaker, by true "
    "labels that the training never uses.",
    "found_session": "The share of utterances that got a positive of their own session, by true "
    "labels that the training never uses.",
    "oracle_speaker": "Among the positives that were found, the share of the right speaker; the "
    "training never sees it.",
    "oracle_session": "Among the positives that were found, the share of the same session, which "
    "teaches the channel; the training never sees it.",
    "oracle_nmi": "The normalised mutual information of clusters and true speakers, 0 to 1; the "
    "training never sees it.",
    "speakers_seen": "The number of speakers that the batches of the epoch contained.",
    "same_cluster": "The share of pairs of a batch that come from one cluster of hard negatives.",
    "separation_loss": "The part of the loss that separates the speakers of a mixture.",
    "contrast_loss": "The part of the loss that compares separated sources.",
    "mi_bound": "A lower bound of the mutual information of two conditions of a speaker, in nats.",
    "mi_ceiling": "The largest value that mi_bound can have with this batch.",
    "alpha": "The learned weight of the separative loss.",
    "gate": "The loss above which a pseudo-label is taken for wrong.",
    "kept": "The share of utterances whose pseudo-label passes the gate.",
    "corrected": "The share of utterances above the gate with the label of the network instead.",
    "confirmed": "The share of utterances above the gate whose label the network agrees with.",
    "dev_eer": "The equal error rate on development trials of held-out training speakers; never "
    "of the test list.",
}
"""Name in train.jsonl → sentence."""

RESULTS = {
    "EER": "The equal error rate: the share of wrong decisions at the threshold where misses and "
    "false alarms are equally frequent.",
    "minDCF": "The cost of misses and false alarms at the best threshold for the prior p, divided "
    "by the cost of a system that ignores the recordings; 1 is useless.",
    "actDCF": "The same cost at the threshold that the calibration gives; its distance from minDCF "
    "is the price of a poor calibration.",
    "Cllr": "The mean cost in bits of the log-likelihood ratios, over all priors; 1 is useless.",
    "minCllr": "Cllr after the best calibration on these trials.",
    "p-value": "The chance of so large a difference if there were none, over draws of speakers.",
    "p (Holm)": "The same chance over draws of seeds and speakers, corrected for the number of "
    "comparisons.",
    "updates": "Steps of the optimiser.",
    "crops seen": "Crops that the network received in the whole training.",
    "hours of speech seen": "The length of all these crops together.",
}
"""Beginning of a column's name in a report → sentence."""

GLOSSARY = TRAINING | RESULTS


def missing(names: Iterable[str]) -> list[str]:
    """Return the names that the glossary lacks, sorted."""
    return sorted(set(names) - GLOSSARY.keys())


def term_of(heading: str) -> str | None:
    """Return the term that a column's heading begins with, such as EER for ``EER % within``."""
    found = [term for term in RESULTS if heading.startswith(term)]
    return max(found, key=len, default=None)


def markdown() -> str:
    """Return the text of ``docs/glossary.md``."""
    lines = ["# Glossary", "", "Every figure of a training's log and of a report, in one sentence."]
    lines += ["`sv/data/glossary.py` is the source of this page.", ""]
    for heading, table in (("In the log of a training", TRAINING), ("In a report", RESULTS)):
        lines += [f"## {heading}", "", "| figure | meaning |", "|---|---|"]
        lines += [f"| `{name}` | {text} |" for name, text in table.items()] + [""]
    return "\n".join(lines)
