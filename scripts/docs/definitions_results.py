"""What reference models log, and what is computed of explanations, comparisons and variants."""

from __future__ import annotations

from collections.abc import Mapping

# What `run.log` gets of the reference models; `*` is train, validation or test.
LOGGED: Mapping[str, str] = {
    "loss": "of the step, mean over its samples; of `ppo` the sum of its three losses",
    "gradient_norm": "Euclidean norm of all gradients together, before they are clipped; with `--clip-norm`",
    "epoch": "number of the epoch that ended",
    "*/loss": "mean over the samples of the epoch",
    "*/accuracy": "share of right answers; of a detector, of the boxes that were found",
    "*/precision": "mean over the classes of right answers / answers; of a detector, findings that are right / "
    "findings",
    "*/recall": "mean over the classes of right answers / samples; of a detector, boxes found / boxes",
    "*/f1": "mean over the classes of the harmonic mean of precision and recall; of a detector, of its two figures",
    "*/calibration_error": "mean |confidence − accuracy| over bins of confidence, weighted by their samples",
    "*/rmse": "root of the mean squared error, in units of what is predicted",
    "*/mae": "mean absolute error, in units of what is predicted",
    "*/r2": "1 − squared error / variance; N/A where the truth does not vary",
    "*/map50": "mean over the classes of their average precision at an overlap (IoU) of 0.5",
    "early_stopping/best_epoch": "the epoch whose weights are kept",
    "pretrain/loss": "of hidden words, of the step",
    "pretrain/accuracy": "share of the hidden words that were guessed, of the step",
    "pretrain/test_loss": "of hidden words, on the test's texts",
    "pretrain/test_accuracy": "share of hidden words that were guessed, on the test's texts",
    "loss/discriminator": "of `dcgan`, of the step",
    "loss/generator": "of `dcgan`, of the step",
    "score/real": "mean probability of being real that the discriminator gives to real pictures, of the step",
    "score/generated": "the same of generated pictures",
    "test/likeness": "the smaller of the next two",
    "test/recognised": "share of the generated pictures that lie near real ones",
    "test/covered": "share of the real pictures that generated ones lie near",
    "test/rarest_class": "share of the generated pictures that are recognised as the class that appears least",
    "test/score_real": "as `score/real`, of test pictures",
    "test/score_generated": "as `score/generated`, of pictures made for the test",
    "loss/policy": "clipped surrogate of `ppo`, of the step",
    "loss/value": "squared error of the value, of the step",
    "entropy": "of the policy, in nats, of the step",
    "approximate_kl": "how far the policy moved from the one that acted, in nats, of the step",
    "clip_fraction": "share of the samples whose likelihood ratio was clipped, of the step",
    "explained_variance": "1 − variance of (return − value) / variance of the return, of the step",
    "environment_steps_per_second": "steps played in all environments, learning included, of the rollout",
    "return": "mean reward of the episodes that ended in the rollout",
    "episode_length": "mean number of their steps",
    "train/return": "the same of the epoch",
    "train/episode_length": "the same of the epoch",
    "test/return": "mean reward of test episodes, played greedily, the same ones each time",
    "test/episode_length": "mean number of their steps",
}

# What an explanation's `checks` hold.
CHECKS: Mapping[str, str] = {
    "completeness_error": "worst |sum of the attributions − (output − base value)| of the inputs, in units of the "
    "score",
    "completeness_error_relative": "the same over |output − base value|",
    "sampling_error_relative": "root mean square of the attributions' standard errors over that of the attributions",
    "certainty": "estimated correlation of the attributions with those of endless sampling, the worst of the inputs",
    "surrogate_r2": "weighted share of the score's variance nearby that the linear model catches, mean over the inputs",
    "surrogate_r2_worst": "the same of the worst input",
    "surrogate_error": "worst |linear model − score| at the input itself",
    "positive_share": "share of the layer's map, by magnitude, that speaks for the class",
    "negative_activation_share": "share of the layer's activation, by magnitude, that is negative",
    "largest_weight": "of Score-CAM, the largest weight of a channel: near 1 one channel is the map",
    "class_token_share": "of attention rollout, what the class token keeps of the attention",
    "padding_share": "of attention rollout, what lies on padding and is set to zero",
    "truth_share": "share of what speaks for the class that lies on what decides it",
    "truth_area": "share of the places that decide it: what `truth_share` would be by chance",
}

# A row of `torchglass compare`, and of the page Compare.
COMPARED: Mapping[str, str] = {
    "step_time": "time of a step: median, mean and 95th percentile",
    "phase": "time of each phase a step: median, or the mean where most steps do without it",
    "operator, kernel": "its own seconds a step in the profiler windows",
    "samples_per_second": "median of `work/samples_per_second`",
    "memory_peak": "largest of `memory/peak_bytes`, else of `memory/process_bytes`, else of "
    "`host/process_memory_bytes`",
    "series": "last value of each scalar that both runs logged, and its best one where its name says which that is",
    "verdict": "higher or lower where 0 lies outside the 95 % interval of the difference (circular block bootstrap, "
    "1,000 "
    "resamples) and the change is at least 0.1 % of the step; else noise, or unknown with the reason",
}

# A row of `torchglass bench-model`, and of the table of variants on the page Compare.
VARIANTS: Mapping[str, str] = {
    "median_seconds": "of one call, over turns taken in random order with the other variants",
    "low_seconds, high_seconds": "quartiles of that",
    "ratio": "the median over the original's; `ratio_low` and `ratio_high` are its 95 % interval",
    "samples_per_second": "batch size over the median",
    "ready_seconds": "applying the technique and the first call, in which some compile",
    "peak_bytes": "the most at any moment of the calls, above what the process held before",
    "held_bytes": "what stayed once the technique was applied and warm",
    "file_bytes, compressed_bytes": "of what would be shipped, plain and by deflate",
    "same_answers": "share of the test images with the same answer as the original's",
    "largest_difference": "of any logit from the original's",
    "divergence": "mean Kullback-Leibler divergence from the original's answers, in nats",
    "accuracy": "share of right answers on the test images",
    "last_loss_difference": "of the last training loss from the original's, same weights, same batches",
    "gradient_difference": "|g − g0| / |g0| over all parameters at the first step, g0 the original's",
}

# What `torchglass overview`, `shortcuts` and `what-if` keep.
OVERVIEWS: Mapping[str, str] = {
    "mean |SHAP|": "of a column, over the rows that were explained, in units of the score",
    "permutation importance": "by how much the loss rises, or the score falls, when a column's values are dealt to "
    "other "
    "rows; mean and standard deviation over the repeats",
    "partial dependence": "mean score of the rows with the column set to a value; a single row's curve is its ICE",
    "interaction": "Shapley interaction value: what two columns say together beyond what each says by itself, exact "
    "for "
    "the ten columns that count most",
    "drift of a map": "1 − Spearman's correlation with the map before, or with the newest",
    "erase effect": "by how much the predicted class's probability falls when the spot is erased, beside random spots",
    "paste effect": "by how much the spot's class gains when it is pasted into pictures of other classes, beside "
    "random "
    "spots",
    "bounds of an effect": "95 % for all spots and both changes together (bootstrap over pictures, Bonferroni)",
    "what-if difference": "score of the class after the change less the score before, at each kept checkpoint",
}

# What is stated once, or when it changes.
FACTS: Mapping[str, str] = {
    "environment": "versions, device, number of processes",
    "model": "class and number of parameters",
    "phases": "whose clock timed the phases, and how data were fetched",
    "work": "the counted shapes, operators with their FLOPs and bytes, number formats, peak",
    "memory": "which device, how much there is, what each figure means",
    "memory/split": "that the parts are measured more seldom than asked, and why",
    "memory/other devices": "what parts of the model lie elsewhere",
    "histograms": "how histograms are counted",
    "sharded": "that norms and histograms are of this rank's shard",
    "layers/*": "that parameters take turns, because a sampled step would read too much",
    "probes": "looks taken, left out, and what they cost",
    "devices/host": "processor, memory, system",
    "devices/gpu": "the GPUs, what is missing of each and why",
    "devices/quantities": "the tables of devices below, for readers without this file",
    "devices/throttling": "why clocks are held back, in words",
    "devices/processes": "who uses each GPU",
    "import": "what an imported log or trace held, and what was left out",
    "missing/*": "why a series is missing",
    "warnings/*": "what went wrong while recording, in one sentence",
}
