"""What is trained on embeddings. A head carries its class map and says which embeddings it takes."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeling import calibration
from modeling.class_map import ClassMap
from modeling.errors import EmbeddingMismatchError, TrainingError
from modeling.heads import kinds
from modeling.heads.head import Head

WEIGHTS = "head.safetensors"
CONTRACT = "head.json"


@dataclass(frozen=True)
class TrainedHead:
    """A head with everything that is needed to use it rightly."""

    network: Head
    class_map: ClassMap
    embedding_key: str
    embedding_spec: str  # canonical JSON
    backbone: str  # hub name or folder where it was found
    poolings: tuple[str, ...]  # joined in this order
    temperature: float = 1.0  # that logits are divided by, so that probabilities come true
    is_multi_label: bool = False  # each species by itself: sigmoids of logits, not a softmax

    def predict(self, vectors: dict[str, NDArray[np.float32]], embedding_key: str) -> NDArray[np.float32]:
        """Return the logits of many tiles.

        Args:
            vectors: For each pooling of the head, (N, D) float32.
            embedding_key: Under which the vectors were made.

        Returns:
            (N, C) float32, columns in the order of ``class_map``.

        Raises:
            EmbeddingMismatchError: If the vectors were made in another way than those of training.
        """
        import torch

        if embedding_key != self.embedding_key:
            raise EmbeddingMismatchError(
                f"the head was trained on embeddings {self.embedding_key}, and was given {embedding_key}: another "
                f"backbone, preprocessing or dtype"
            )
        with torch.inference_mode():
            logits: NDArray[np.float32] = self.network(torch.from_numpy(join(vectors, self.poolings))).numpy()
        return logits

    def probabilities(self, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return calibrated probabilities (N, C) of logits (N, C)."""
        probability = calibration.sigmoid if self.is_multi_label else calibration.softmax
        return probability(logits, self.temperature).astype(np.float32)

    def save(self, folder: Path) -> Path:
        """Write weights (safetensors) and contract (JSON) into a folder."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.network.state_dict(), folder / WEIGHTS)
        contract = {
            "kind": self.network.kind,
            "settings": self.network.settings(),
            "dimension": self.network.dimension,
            "weights_hash": self.network.weights_hash,
            "temperature": self.temperature,
            "is_multi_label": self.is_multi_label,
            "class_map_id": self.class_map.class_map_id,
            "species_ids": self.class_map.species_ids,
            "scientific_names": self.class_map.scientific_names,
            "embedding_key": self.embedding_key,
            "embedding_spec": self.embedding_spec,
            "backbone": self.backbone,
            "poolings": self.poolings,
        }
        (folder / CONTRACT).write_text(json.dumps(contract, indent=1, ensure_ascii=False), encoding="utf-8")
        return folder


def load(folder: Path) -> TrainedHead:
    """Read a head that ``TrainedHead.save`` has written.

    Raises:
        ClassMapMismatchError: If the species listed are not those that were hashed.
        TrainingError: If the weights are not those that were saved with the contract.
    """
    from safetensors.torch import load_file

    contract: dict[str, Any] = json.loads((folder / CONTRACT).read_text(encoding="utf-8"))
    if "settings" not in contract:
        raise TrainingError(
            f"{folder / CONTRACT} was written by an older version of taxalake, which kept less: train or import the "
            f"model anew, under another name where its champion cannot be read"
        )
    class_map = ClassMap(tuple(contract["species_ids"]), tuple(contract["scientific_names"]))
    class_map.require(contract["class_map_id"], str(folder / CONTRACT))
    network = kinds.rebuilt(contract["kind"], contract["dimension"], len(class_map), contract["settings"])
    # Strict: a checkpoint of another shape must fail here, not predict noise.
    network.load_state_dict(load_file(folder / WEIGHTS), strict=True)
    if network.weights_hash != contract["weights_hash"]:
        raise TrainingError(
            f"{folder / WEIGHTS} holds weights {network.weights_hash}, and {CONTRACT} beside it says "
            f"{contract['weights_hash']}: one of the two was changed or mixed up; register the model anew"
        )
    return TrainedHead(
        network.eval(),
        class_map,
        contract["embedding_key"],
        contract["embedding_spec"],
        contract["backbone"],
        tuple(contract["poolings"]),
        contract["temperature"],
        contract["is_multi_label"],
    )


def inherit(network: Head, class_map: ClassMap, older: TrainedHead) -> int:
    """Give a new head the weights of the species that an older one knows, wherever their class indices were.

    Args:
        network: The new head, of the same kind and features; changed in place.
        class_map: Of the new head. Species that the older one lacks begin as in any new head.
        older: The older head.

    Returns:
        How many species brought their weights along.

    Raises:
        TrainingError: If the older head is of another kind or shape, or of a kind that cannot hand weights on.
    """
    import torch

    rows, old = network.class_rows, older.network.state_dict()
    if network.kind != older.network.kind or not rows:
        raise TrainingError(
            f"a {network.kind!r} head cannot begin with the weights of a {older.network.kind!r} head: both have to be "
            f"of one kind that keeps weights for each species, such as linear"
        )
    shared = [species_id for species_id in class_map.species_ids if species_id in older.class_map.index]
    here = torch.tensor([class_map.index[species_id] for species_id in shared], dtype=torch.long)
    there = torch.tensor([older.class_map.index[species_id] for species_id in shared], dtype=torch.long)
    for name, tensor in network.state_dict().items():
        theirs = old.get(name)
        first = 1 if name in rows else 0
        if theirs is None or theirs.shape[first:] != tensor.shape[first:]:
            raise TrainingError(
                f"the older head's {name} is {None if theirs is None else tuple(theirs.shape)}, and the new one's is "
                f"{tuple(tensor.shape)}: train with the settings and poolings of the older one, or from nothing"
            )
        if name in rows:
            tensor[here] = theirs[there]
        else:
            tensor.copy_(theirs)
    return len(shared)


def join(vectors: dict[str, NDArray[np.float32]], poolings: tuple[str, ...]) -> NDArray[np.float32]:
    """Join poolings side by side: (N, D x number of poolings) float32.

    Raises:
        EmbeddingMismatchError: If a pooling is not there.
    """
    missing = [pooling for pooling in poolings if pooling not in vectors]
    if missing:
        raise EmbeddingMismatchError(f"the pooling {missing[0]!r} is needed; there are {', '.join(vectors)}")
    return np.ascontiguousarray(np.concatenate([vectors[pooling] for pooling in poolings], axis=1))
