"""What is trained on embeddings. A head carries its class map and says which embeddings it takes."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from modeling.class_map import ClassMap
from modeling.errors import EmbeddingMismatchError
from modeling.heads.linear import LinearHead

WEIGHTS = "head.safetensors"
CONTRACT = "head.json"


@dataclass(frozen=True)
class TrainedHead:
    """A head with everything that is needed to use it rightly."""

    network: LinearHead
    class_map: ClassMap
    embedding_key: str
    embedding_spec: str  # canonical JSON
    backbone: str  # hub name or folder where it was found
    poolings: tuple[str, ...]  # joined in this order

    @property
    def dtype(self) -> str:
        """The number type that its embeddings were made in."""
        return str(json.loads(self.embedding_spec)["dtype"])

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

    def save(self, folder: Path) -> Path:
        """Write weights (safetensors) and contract (JSON) into a folder."""
        from safetensors.torch import save_file

        folder.mkdir(parents=True, exist_ok=True)
        save_file(self.network.state_dict(), folder / WEIGHTS)
        contract = {
            "kind": "linear",
            "dimension": self.network.dimension,
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
    """
    from safetensors.torch import load_file

    contract: dict[str, Any] = json.loads((folder / CONTRACT).read_text(encoding="utf-8"))
    class_map = ClassMap(tuple(contract["species_ids"]), tuple(contract["scientific_names"]))
    class_map.require(contract["class_map_id"], str(folder / CONTRACT))
    network = LinearHead(contract["dimension"], len(class_map))
    # Strict: a checkpoint of another shape must fail here, not predict noise.
    network.load_state_dict(load_file(folder / WEIGHTS), strict=True)
    return TrainedHead(
        network.eval(),
        class_map,
        contract["embedding_key"],
        contract["embedding_spec"],
        contract["backbone"],
        tuple(contract["poolings"]),
    )


def join(vectors: dict[str, NDArray[np.float32]], poolings: tuple[str, ...]) -> NDArray[np.float32]:
    """Join poolings side by side: (N, D x number of poolings) float32.

    Raises:
        EmbeddingMismatchError: If a pooling is not there.
    """
    missing = [pooling for pooling in poolings if pooling not in vectors]
    if missing:
        raise EmbeddingMismatchError(f"the pooling {missing[0]!r} is needed; there are {', '.join(vectors)}")
    return np.ascontiguousarray(np.concatenate([vectors[pooling] for pooling in poolings], axis=1))
