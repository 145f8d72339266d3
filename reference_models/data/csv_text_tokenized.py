"""Read a CSV of texts and labels into the ids of a Hugging Face model's own tokenizer.

The ids are renumbered so that here, too, 0 is padding, 1 an unknown word and 2 a masked one: explainers then hide words
in the same way whatever the tokenizer. `id_order` is the tokenizer's id of each of ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torchglass.errors import DataError, MissingExtraError
from torchglass.reference_models.data.csv_text import MAX_WORDS, LabelledText, read_parts
from torchglass.reference_models.data.form import DataForm
from torchglass.reference_models.data.request import DataRequest
from torchglass.reference_models.data.words import PADDING, SPECIAL_WORDS

if TYPE_CHECKING:
    from torchglass.reference_models.data.samples import Samples, Split

RESERVED_POSITIONS = 2  # RoBERTa counts its positions from 2


def load_tokenized_csv(request: DataRequest) -> Split:
    """Return the texts of a CSV file (`request.path`) as ids of the tokenizer in `request.model_path`.

    The classes are the model's own where it knows the file's labels, in its order, else the file's.

    Raises:
        DataError: the file or the folder is missing or damaged, or the model knows some of the labels only.
        MissingExtraError: transformers is not installed.
    """
    from torchglass.reference_models.data.samples import Split

    folder = model_folder(request.model_path)
    tokenizer, config = load_tokenizer(folder), load_config(folder)
    parts = read_parts(request)
    class_names = _class_names([*parts.train, *parts.test], parts.class_names, config, request.path)
    order = id_order(tokenizer)
    longest = _longest(tokenizer, config)
    train, test = (_encode(part, tokenizer, order, longest) for part in (parts.train, parts.test))
    form = DataForm(
        kind="text",
        task="classification",
        shape=(max(map(len, train)),),
        class_names=class_names,
        vocabulary_size=len(order),
    )
    return Split(
        form=form,
        train=_as_samples(train, parts.train, form),
        test=_as_samples(test, parts.test, form),
        vocabulary=(*SPECIAL_WORDS, *tokenizer.convert_ids_to_tokens(order[len(SPECIAL_WORDS) :])),
    )


def model_folder(path: Path | None) -> Path:
    """Return the folder of the user's model.

    Raises:
        DataError: none is given, or it is no folder; a name on the hub is not looked up.
    """
    if path is None:
        raise DataError("a Hugging Face model is read from a folder of yours: name it with --model-path DIR")
    if not path.is_dir():
        raise DataError(f"{path} is no folder: save a model and its tokenizer there with save_pretrained")
    return path


def load_tokenizer(folder: Path) -> Any:
    """Load the folder's tokenizer; nothing is downloaded.

    Raises:
        DataError: there is none, or it cannot pad.
        MissingExtraError: transformers is not installed.
    """
    tokenizer = load_part(folder, "AutoTokenizer")
    if tokenizer.pad_token_id is None:
        raise DataError(f"the tokenizer in {folder} has no padding token: set its pad_token and save it again")
    return tokenizer


def load_config(folder: Path) -> Any:
    """Load the folder's configuration; raises as `load_part`."""
    return load_part(folder, "AutoConfig")


def load_part(folder: Path, name: str, **options: Any) -> Any:
    """Load what a class of transformers finds in the folder; nothing is downloaded and no code of the folder runs.

    Raises:
        DataError: the folder does not hold it.
        MissingExtraError: transformers is not installed.
    """
    try:
        import transformers
    except ImportError as error:
        raise MissingExtraError("transformers", "huggingface") from error
    try:
        return getattr(transformers, name).from_pretrained(folder, local_files_only=True, **options)
    except Exception as error:  # json, safetensors, tokenizers and transformers each raise classes of their own
        what = name.removeprefix("Auto")
        first = str(error).strip().partition("\n")[0][:200]
        raise DataError(
            f"{folder} holds no {what} that transformers can load ({type(error).__name__}: {first}): save one there "
            "with save_pretrained"
        ) from error


def id_order(tokenizer: Any) -> list[int]:
    """Return the tokenizer's id of each of our ids: padding, unknown, mask, then all others in their order.

    A tokenizer without an unknown token has its padding there; one without a mask its unknown token.
    """
    padding = tokenizer.pad_token_id
    unknown = padding if tokenizer.unk_token_id is None else tokenizer.unk_token_id
    mask = unknown if tokenizer.mask_token_id is None else tokenizer.mask_token_id
    special = (padding, unknown, mask)
    return [*special, *(number for number in range(len(tokenizer)) if number not in special)]


def _class_names(
    samples: Sequence[LabelledText], found: tuple[str, ...], config: Any, path: Path | None
) -> tuple[str, ...]:
    known = tuple(str(config.id2label[number]) for number in sorted(config.id2label))
    if not set(found) & set(known):
        return found
    for sample in samples:
        if sample.label not in known:
            raise DataError(
                f"line {sample.line} of {path} is labelled {sample.label[:40]!r} and the model knows "
                f"{', '.join(known)[:200]}: use its labels, or none of them to begin with a fresh head"
            )
    return known


def _longest(tokenizer: Any, config: Any) -> int:
    positions = getattr(config, "max_position_embeddings", None)
    of_model = MAX_WORDS if positions is None else positions - RESERVED_POSITIONS
    return int(min(MAX_WORDS, tokenizer.model_max_length, of_model))


def encode_text(text: str, folder: Path) -> tuple[list[int], list[str]]:
    """Return the ids of one text, renumbered as above, and the tokens that they stand for.

    Raises:
        DataError: the folder holds no tokenizer.
        MissingExtraError: transformers is not installed.
    """
    tokenizer = load_tokenizer(model_folder(folder))
    ours = _renumbered(id_order(tokenizer))
    theirs = tokenizer([text])["input_ids"][0]
    return [ours[each] for each in theirs], [str(token) for token in tokenizer.convert_ids_to_tokens(theirs)]


def _renumbered(order: Sequence[int]) -> dict[int, int]:
    """Our id of each of the tokenizer's."""
    return {theirs: number for number, theirs in reversed(list(enumerate(order)))}


def _encode(samples: Sequence[LabelledText], tokenizer: Any, order: Sequence[int], longest: int) -> list[list[int]]:
    ours = _renumbered(order)
    found = tokenizer([sample.text for sample in samples], truncation=True, max_length=longest)["input_ids"]
    return [[ours[theirs] for theirs in ids] for ids in found]


def _as_samples(encoded: Sequence[Sequence[int]], labelled: Sequence[LabelledText], form: DataForm) -> Samples:
    import torch

    from torchglass.reference_models.data.samples import Samples

    length = form.shape[0]
    number_of = {name: number for number, name in enumerate(form.class_names)}
    return Samples(
        inputs=torch.tensor([[*ids[:length], *[PADDING] * (length - len(ids))] for ids in encoded]),
        targets=torch.tensor([number_of[sample.label] for sample in labelled]),
    )
