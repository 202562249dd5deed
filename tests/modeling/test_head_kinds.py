import json
import math
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from sklearn.linear_model import LogisticRegression
from torch import Tensor
from torch.nn import functional

from modeling.errors import EmbeddingMismatchError, TrainingError
from modeling.heads import kinds
from modeling.heads.head import Head
from modeling.heads.logistic import LogisticHead
from modeling.heads.mlp import MlpHead
from modeling.heads.nearest import NearestHead
from modeling.heads.prototype import PrototypeHead, extended
from modeling.heads.taxonomic import TaxonomicHead
from modeling.problem import Problem

UNSEEN = 3  # the class without an example
PROBLEM = Problem(
    dimension=6,
    class_counts=(20, 20, 20, 0, 20),
    genera=("Poa", "Poa", None, "Vipera", None),
    families=("Poaceae", "Poaceae", "Poaceae", "Viperidae", None),
)
BY_STEPS = [kind for kind, head in kinds.KINDS.items() if head.learns_by_steps]
AT_ONCE = [kind for kind in kinds.KINDS if kind not in BY_STEPS]


def examples() -> tuple[Tensor, Tensor]:
    """Draw 80 features of four classes, each of which stands out in a dimension of its own scale."""
    targets = torch.arange(80) % 4
    targets[targets == UNSEEN] = 4
    features = torch.randn(80, 6, generator=torch.Generator().manual_seed(0))
    features[torch.arange(80), targets] += 12
    return features * torch.tensor([0.01, 1, 5, 100, 1, 3]) + 7, targets


def elsewhere(count: int = 500) -> Tensor:
    """Draw features from around and far beyond those of training."""
    features, _ = examples()
    drawn = torch.randn(count, 6, generator=torch.Generator().manual_seed(1))
    return features.mean(0) + 5 * features.std(0) * drawn


def learnt(kind: str, steps: int = 15, **settings: Any) -> Head:
    torch.manual_seed(0)
    head = kinds.of(kind, PROBLEM, settings)
    features, targets = examples()
    head.begin(features, targets)
    if head.learns_by_steps:
        optimiser = torch.optim.Adam(head.parameters(), lr=0.1)
        for _ in range(steps):
            optimiser.zero_grad()
            head.loss(functional.cross_entropy, features, targets).backward()
            optimiser.step()
    return head.eval()


@cache
def usual(kind: str) -> Head:
    """The same for all tests that only look at it."""
    return learnt(kind)


def logits(head: Head, features: Tensor) -> Tensor:
    with torch.inference_mode():
        return head(features)


def plain(head: Head) -> Head:
    """Switch standardising off, for values by hand."""
    head.mean.zero_()
    head.std.fill_(1)
    return head.eval()


# All kinds


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_a_head_that_was_saved_and_rebuilt_gives_the_same_logits_bit_for_bit(kind: str):
    head = usual(kind)
    # JSON and safetensors are what a checkpoint is made of; safetensors refuses tensors that share memory.
    settings = json.loads(json.dumps(head.settings()))
    again = kinds.rebuilt(kind, 6, 5, settings)
    again.load_state_dict(load(save(head.state_dict())), strict=True)
    assert torch.equal(logits(again.eval(), elsewhere()), logits(head, elsewhere()))
    assert again.settings() == settings


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_settings_that_a_person_gives_are_those_that_are_saved(kind: str):
    given = {
        "linear": {"dropout": 0.1},
        "mlp": {"hidden": [7, 3], "dropout": 0.1, "input_dropout": 0.2},
        "cosine": {"scale": 9.0, "dropout": 0.1},
        "prototype": {"scale": 9.0},
        "nearest": {"neighbours": 3, "temperature": 0.5},
        "taxonomic": {
            "dropout": 0.1,
            "genus_weight": 0.2,
            "family_weight": 0.4,
            "genus_loss": 0.6,
            "family_loss": 0.8,
        },
        "logistic": {"c": 3.0, "max_iter": 7},
        "discriminant": {"shrinkage": 0.7},
    }[kind]
    saved = kinds.of(kind, PROBLEM, given).settings()
    assert {name: saved[name] for name in given} == given


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_a_head_in_use_gives_the_same_twice_and_drops_nothing_out(kind: str):
    head = usual(kind)
    before = save(head.state_dict())
    assert torch.equal(logits(head, elsewhere()), logits(head, elsewhere()))
    assert save(head.state_dict()) == before


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_no_photographs_have_no_logits(kind: str):
    assert logits(usual(kind), torch.empty(0, 6)).shape == (0, 5)


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_logits_of_a_photograph_do_not_depend_on_its_company(kind: str):
    head = usual(kind)
    torch.testing.assert_close(logits(head, elsewhere()[:1]), logits(head, elsewhere())[:1])


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_a_head_finds_the_class_of_its_examples_whatever_the_scale_of_their_dimensions(kind: str):
    features, targets = examples()
    assert torch.equal(logits(usual(kind), features).argmax(dim=1), targets)


@pytest.mark.parametrize("kind", BY_STEPS)
def test_shares_of_classes_are_learnt_as_classes_are(kind: str):
    features, targets = examples()
    head = learnt(kind, dropout=0.0)
    shares = functional.one_hot(targets, 5).float()
    by_shares = head.loss(functional.cross_entropy, features, shares)
    torch.testing.assert_close(by_shares, head.loss(functional.cross_entropy, features, targets))


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_a_class_without_examples_has_a_finite_logit_and_is_never_best(kind: str):
    features, targets = examples()
    for head in (learnt(kind, steps=0), usual(kind)):
        assert logits(head, elsewhere()).isfinite().all()
        of_unseen = logits(head, features)[:, UNSEEN]
        best_of_others = logits(head, features)[:, targets.unique()].max(dim=1).values
        assert (of_unseen <= best_of_others).all()
    assert (of_unseen < best_of_others).all()


@pytest.mark.parametrize("kind", [*AT_ONCE, "cosine"])
def test_a_class_without_examples_is_not_even_best_far_from_all_examples(kind: str):
    assert (logits(usual(kind), 100 * elsewhere()).argmax(dim=1) != UNSEEN).all()


@pytest.mark.parametrize(("kind", "vectors"), [("cosine", "weight"), ("prototype", "prototypes")])
def test_a_class_without_examples_is_not_even_best_opposite_to_all_others(kind: str, vectors: str):
    head = kinds.of(kind, Problem(2, (1, 1, 0)), {})
    head.load_state_dict(head.state_dict() | {vectors: torch.tensor([[1.0, 0], [0, 1], [0, 0]])})
    best = logits(head, torch.tensor([[-1.0, -1], [-1, 0], [0, 0]])).argmax(dim=1)
    assert (best != 2).all()


@pytest.mark.parametrize("kind", kinds.KINDS)
def test_learning_draws_the_same_head_from_the_same_seed(kind: str):
    assert save(learnt(kind, steps=5).state_dict()) == save(learnt(kind, steps=5).state_dict())


# Kinds by name


def test_each_kind_is_known_by_its_name():
    assert {kind: head.kind for kind, head in kinds.KINDS.items()} == {kind: kind for kind in kinds.KINDS}


def test_an_unknown_kind_is_refused_with_the_known_ones_nearest_first():
    with pytest.raises(TrainingError, match="no head 'prototypes'; there are prototype, ") as refused:
        kinds.of("prototypes", PROBLEM, {})
    assert all(kind in str(refused.value) for kind in kinds.KINDS)
    with pytest.raises(TrainingError, match=r"no head 'nearst'; there are nearest, "):
        kinds.rebuilt("nearst", 6, 5, {})


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        ("linear", "dropout", 1.5),
        ("mlp", "dropout", -0.1),
        ("mlp", "hidden", []),
        ("mlp", "hidden", [512, 0]),
        ("mlp", "hidden", ["512"]),
        ("cosine", "scale", 0.0),
        ("prototype", "scale", -1.0),
        ("nearest", "neighbours", 0),
        ("nearest", "temperature", 0.0),
        ("taxonomic", "genus_weight", -1.0),
        ("taxonomic", "family_loss", math.nan),
        ("logistic", "c", 0.0),
        ("logistic", "max_iter", 0),
    ],
)
def test_a_setting_that_makes_no_sense_is_refused_with_its_value(kind: str, name: str, value: object):
    with pytest.raises(TrainingError) as refused:
        kinds.of(kind, PROBLEM, {name: value})
    assert kind in str(refused.value)
    assert str(value) in str(refused.value)


def test_nobody_is_asked_for_what_a_head_knows_itself():
    with pytest.raises(TrainingError, match="'nearest' has no setting 'example_count'"):
        kinds.of("nearest", PROBLEM, {"example_count": 80})
    with pytest.raises(TrainingError, match="'taxonomic' has no setting 'genus_of'"):
        kinds.of("taxonomic", PROBLEM, {"genus_of": [0, 0, 1, 2, 3]})


@pytest.mark.parametrize("kind", [kind for kind in kinds.KINDS if kind != "linear"])
def test_a_head_is_not_rebuilt_with_settings_that_are_missing_or_of_another_kind(kind: str):
    saved = learnt(kind, steps=0).settings()
    with pytest.raises(TrainingError, match=rf"'{kind}' head cannot be rebuilt .* saved by another version"):
        kinds.rebuilt(kind, 6, 5, saved | {"unheard_of": 1})
    for name in saved:
        with pytest.raises(TrainingError, match=f"missing 1 required positional argument: '{name}'"):
            kinds.rebuilt(kind, 6, 5, {other: value for other, value in saved.items() if other != name})


# One kind


@pytest.mark.parametrize("hidden", [[6], [3], [17], [2, 9, 4]])
def test_the_batch_norm_of_a_hidden_layer_has_the_width_of_that_layer(hidden: list[int]):
    head = learnt("mlp", steps=2, hidden=hidden)
    assert isinstance(head, MlpHead)
    widths = [module.num_features for module in head.modules() if isinstance(module, torch.nn.BatchNorm1d)]
    assert widths == hidden
    assert logits(head, elsewhere()).shape == (500, 5)


def test_an_mlp_is_linear_then_norm_then_relu_then_linear():
    head = plain(kinds.rebuilt("mlp", 2, 2, {"hidden": [3], "dropout": 0.5, "input_dropout": 0.5}))
    weights = head.state_dict()
    weights["layers.0.0.weight"] = torch.tensor([[1.0, 0], [0, 1], [1, 1]])
    weights["layers.0.0.bias"] = torch.tensor([0.0, 0, -1])
    weights["layers.0.1.running_mean"] = torch.tensor([1.0, 0, 0])
    weights["layers.0.1.running_var"] = torch.tensor([4.0, 1, 1])
    weights["last.weight"] = torch.tensor([[1.0, 1, 1], [2, -1, 0]])
    weights["last.bias"] = torch.tensor([0.5, 0])
    head.load_state_dict(weights)
    # (5, -2) -> (5, -2, 2) -> norm (2, -2, 2) -> ReLU (2, 0, 2) -> (4.5, 4)
    torch.testing.assert_close(logits(head, torch.tensor([[5.0, -2]])), torch.tensor([[4.5, 4]]), rtol=1e-4, atol=0)


def test_class_vectors_of_a_cosine_head_begin_as_the_class_means_of_which_only_the_direction_counts():
    features, targets = examples()
    begun, prototype = learnt("cosine", steps=0, scale=3.0), learnt("prototype", scale=3.0)
    torch.testing.assert_close(logits(begun, elsewhere()), logits(prototype, elsewhere()))
    weights = begun.state_dict()
    begun.load_state_dict(weights | {"weight": 7 * weights["weight"]})
    torch.testing.assert_close(logits(begun, elsewhere()), logits(prototype, elsewhere()))
    assert (logits(learnt("cosine", scale=3.0), features)[:, targets.unique()].abs() <= 3.0001).all()


def test_a_class_vector_without_examples_neither_learns_nor_harms_the_others():
    head = usual("cosine")
    weights = head.state_dict()["weight"]
    assert not weights[UNSEEN].any()
    assert weights.isfinite().all()
    assert not torch.equal(weights, learnt("cosine", steps=0).state_dict()["weight"])


def test_a_prototype_is_the_mean_direction_of_its_class():
    head = kinds.rebuilt("prototype", 2, 2, {"scale": 10.0})
    # Standardised by mean (1, 2) and deviation (1, 2): (1, 1), (1, -1); (-1, 1), (-1, -1). Means: (1, 0) and (-1, 0).
    head.begin(torch.tensor([[2.0, 4], [2, 0], [0, 4], [0, 0]]), torch.tensor([0, 0, 1, 1]))
    torch.testing.assert_close(head.state_dict()["prototypes"], torch.tensor([[1.0, 0], [-1, 0]]))
    # (4, 10) is (3, 4) standardised: its cosine with (1, 0) is 3/5.
    torch.testing.assert_close(logits(head, torch.tensor([[4.0, 10]])), torch.tensor([[6.0, -6]]))


def test_each_example_weighs_alike_in_a_prototype_however_long_it_is():
    head = kinds.rebuilt("prototype", 2, 1, {"scale": 1.0})
    features = torch.tensor([[100.0, 0], [0, 0.01], [-100, 0], [0, -0.01]]) * torch.tensor([[1.0], [1], [9], [9]])
    head.begin(features, torch.zeros(4, dtype=torch.int64))
    short = PrototypeHead(2, 2, 1.0)
    short.mean.zero_()
    grown = extended(short, torch.tensor([[100.0, 0], [0, 0.01]]))
    torch.testing.assert_close(grown.prototypes[2], torch.tensor([1.0, 1]) / math.sqrt(2))


def test_a_new_species_is_known_at_once_and_moves_no_old_one():
    features, _ = examples()
    old = learnt("prototype")
    assert isinstance(old, PrototypeHead)
    before = save(old.state_dict())
    new = features.mean(0) + features.std(0) * torch.tensor([0.0, 0, 0, 0, 0, 9])
    grown = extended(old, new[None])
    assert save(old.state_dict()) == before
    assert torch.equal(grown.prototypes[:5], old.prototypes)
    assert torch.equal(grown.mean, old.mean)
    torch.testing.assert_close(logits(grown, elsewhere())[:, :5], logits(old, elsewhere()))
    assert logits(grown, new[None]).argmax() == 5
    again = kinds.rebuilt("prototype", 6, 6, grown.settings())
    again.load_state_dict(load(save(grown.state_dict())), strict=True)


def test_a_head_extended_by_a_class_is_that_of_all_classes_under_the_same_standardising():
    features, targets = examples()
    whole = learnt("prototype")
    assert isinstance(whole, PrototypeHead)
    first = PrototypeHead(6, 4, 20.0)
    first.load_state_dict({**whole.state_dict(), "prototypes": whole.prototypes[:4]})
    grown = extended(first, features[targets == 4])
    torch.testing.assert_close(grown.prototypes, whole.prototypes)


def test_a_new_species_without_examples_or_of_another_length_is_refused():
    head = PrototypeHead(6, 5, 20.0)
    with pytest.raises(TrainingError, match="a new class needs an example"):
        extended(head, torch.empty(0, 6))
    with pytest.raises(EmbeddingMismatchError, match=r"takes features \(N, 6\), and .* are \(3, 4\)"):
        extended(head, torch.ones(3, 4))


def test_neighbours_vote_by_the_exponential_of_their_cosine():
    head = NearestHead(2, 3, 4, neighbours=3, temperature=0.5)
    head.load_state_dict(
        head.state_dict()
        | {
            "examples": torch.tensor([[1.0, 0], [0.6, 0.8], [0.8, 0.6], [-1, 0]]),
            "targets": torch.tensor([0, 1, 0, 2]),
        }
    )
    # The cosines with (2, 0) are 1, 0.6, 0.8 and -1; the last is no neighbour.
    first, second = math.exp(2) + math.exp(1.6), math.exp(1.2)
    expected = [math.log(first / (first + second)), math.log(second / (first + second)), math.log(1e-8)]
    torch.testing.assert_close(logits(head, torch.tensor([[2.0, 0]])), torch.tensor([expected]))


@pytest.mark.parametrize("neighbours", [1, 7, 80, 1000])
def test_neighbours_are_those_of_looking_at_every_example(monkeypatch: pytest.MonkeyPatch, neighbours: int):
    monkeypatch.setattr("modeling.heads.nearest._CELLS", 80 * 7)  # seven rows at once
    features, targets = examples()
    targets = targets[torch.randperm(80, generator=torch.Generator().manual_seed(2))]  # neighbours that disagree
    head = kinds.of("nearest", PROBLEM, {"neighbours": neighbours})
    head.begin(features, targets)
    known = ((features - features.mean(0)) / features.std(0, correction=0)).double().numpy()
    asked = ((elsewhere() - features.mean(0)) / features.std(0, correction=0)).double().numpy()
    expected = np.zeros((len(asked), 5))
    for row, one in enumerate(asked):
        cosines = known @ one / np.linalg.norm(known, axis=1) / np.linalg.norm(one)
        for place in np.argsort(-cosines)[:neighbours]:
            expected[row, targets[place]] += np.exp(cosines[place] / 0.07)
    expected /= expected.sum(axis=1, keepdims=True)
    found = logits(head, elsewhere()).softmax(dim=1).numpy()
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_a_low_temperature_gives_all_to_the_nearest_without_overflow():
    features, targets = examples()
    shares = logits(learnt("nearest", temperature=1e-4), features).softmax(dim=1)
    torch.testing.assert_close(shares, functional.one_hot(targets, 5).float(), atol=1e-4, rtol=0)


def test_a_nearest_head_without_examples_prefers_nothing():
    head = kinds.of("nearest", PROBLEM, {})
    torch.testing.assert_close(logits(head, elsewhere()), torch.full((500, 5), math.log(1e-8)))


def taxonomic(**settings: Any) -> TaxonomicHead:
    """A head of PROBLEM with drawn weights."""
    head = plain(kinds.of("taxonomic", PROBLEM, {"dropout": 0.0, **settings}))
    drawn = torch.Generator().manual_seed(3)
    for weights in head.parameters():
        weights.data.normal_(generator=drawn)
    assert isinstance(head, TaxonomicHead)
    return head


def test_classes_are_related_by_known_names_only():
    head = taxonomic()
    assert head.genus_of.tolist() == [0, 0, 1, 2, 3]
    assert head.family_of.tolist() == [0, 0, 0, 1, 2]


def test_logits_of_a_taxonomic_head_are_the_product_of_three_probabilities():
    head = taxonomic(genus_weight=0.5, family_weight=2.0)
    one = torch.tensor([[0.3, -1, 0.2, 0.9, -0.4, 0]])
    species, genus, family = (
        torch.exp(layer(one)) / torch.exp(layer(one)).sum() for layer in (head.species, head.genus, head.family)
    )
    by_hand = [
        species[0, index] * genus[0, its_genus] ** 0.5 * family[0, its_family] ** 2
        for index, its_genus, its_family in [(0, 0, 0), (1, 0, 0), (2, 1, 0), (3, 2, 1), (4, 3, 2)]
    ]
    torch.testing.assert_close(logits(head, one)[0].exp(), torch.stack(by_hand))


def test_the_loss_of_a_taxonomic_head_is_that_of_species_genus_and_family_by_their_weights():
    head = taxonomic(genus_loss=0.7, family_loss=0.2)
    features = torch.randn(3, 6, generator=torch.Generator().manual_seed(4))
    expected = (
        functional.cross_entropy(head.species(features), torch.tensor([1, 4, 2]))
        + 0.7 * functional.cross_entropy(head.genus(features), torch.tensor([0, 3, 1]))
        + 0.2 * functional.cross_entropy(head.family(features), torch.tensor([0, 2, 0]))
    )
    found = head.loss(functional.cross_entropy, features, torch.tensor([1, 4, 2]))
    torch.testing.assert_close(found, expected)


def test_the_share_of_a_genus_is_that_of_its_species_together():
    head = taxonomic(genus_loss=1.0, family_loss=0.0)
    features = torch.randn(1, 6, generator=torch.Generator().manual_seed(5))
    found = head.loss(lambda given, _: 0 * given.sum(), features, torch.tensor([[0.2, 0.3, 0.1, 0.0, 0.4]]))
    by_genus = torch.log_softmax(head.genus(features), dim=1)[0]
    torch.testing.assert_close(found, -(by_genus * torch.tensor([0.5, 0.1, 0.0, 0.4])).sum())


def test_all_outputs_of_a_taxonomic_head_see_what_was_left_by_one_dropout():
    head = taxonomic(dropout=0.5).train()
    for layer in (head.species, head.genus, head.family):
        layer.weight.data.fill_(1)
        layer.bias.data.zero_()
    sums = torch.stack([given[:, 0] for given in head._outputs(torch.rand(50, 6))])
    torch.testing.assert_close(sums, sums[:1].expand(3, -1))


@pytest.mark.parametrize("missing", ["genera", "families"])
def test_a_taxonomic_head_without_taxonomy_is_refused(missing: str):
    with pytest.raises(TrainingError, match=f"needs the {missing} of the species"):
        kinds.of("taxonomic", replace(PROBLEM, **{missing: ()}), {})


@pytest.mark.parametrize("groups", [[0, 0, 1, 2], [0, 0, 1, 2, 4], [1, 1, 2, 3, 4]])
def test_groups_that_do_not_fit_the_classes_are_refused(groups: list[int]):
    with pytest.raises(TrainingError, match="gives each of 5 classes a group"):
        kinds.rebuilt("taxonomic", 6, 5, taxonomic().settings() | {"genus_of": groups})


def overlapping(class_count: int) -> tuple[Tensor, Tensor]:
    """Draw 300 features of classes that overlap, some of them rare."""
    targets = torch.randint(0, class_count, (300,), generator=torch.Generator().manual_seed(6))
    targets[:100] = 0
    features = torch.randn(300, 8, generator=torch.Generator().manual_seed(7)) * torch.logspace(-2, 2, 8)
    features[:, :class_count] += functional.one_hot(targets, class_count) * torch.logspace(-2, 2, 8)[:class_count]
    return features, targets


@pytest.mark.parametrize("c", [0.01, 1.0, 30.0])
def test_a_logistic_head_is_the_regression_of_scikit_learn(c: float):
    features, targets = overlapping(5)
    head = LogisticHead(8, 5, c, 500)
    head.begin(features, targets)
    reference = LogisticRegression(C=c, tol=1e-10, max_iter=10_000)
    reference.fit(head.standardised(features).double().numpy(), targets.numpy())
    np.testing.assert_allclose(head.layer.weight.detach(), reference.coef_, atol=1e-4)
    probabilities = reference.predict_proba(head.standardised(features).numpy())
    np.testing.assert_allclose(logits(head, features).softmax(dim=1), probabilities, atol=1e-5)


def test_with_two_classes_half_of_c_gives_the_probabilities_of_scikit_learn():
    features, targets = overlapping(2)
    head = LogisticHead(8, 2, 0.05, 500)
    head.begin(features, targets)
    standardised = head.standardised(features).double().numpy()
    reference = LogisticRegression(C=0.1, tol=1e-10, max_iter=10_000).fit(standardised, targets.numpy())
    probabilities = reference.predict_proba(standardised)
    np.testing.assert_allclose(logits(head, features).softmax(dim=1), probabilities, atol=1e-5)


def test_classes_without_examples_change_nothing_of_the_others_regression():
    features, targets = overlapping(3)
    dense, sparse = LogisticHead(8, 3, 1.0, 500), LogisticHead(8, 7, 1.0, 500)
    dense.begin(features, targets)
    sparse.begin(features, 2 * targets + 1)
    torch.testing.assert_close(logits(sparse, features)[:, 1::2], logits(dense, features))


def test_a_regression_is_the_same_however_many_rows_are_looked_at_together(monkeypatch: pytest.MonkeyPatch):
    features, targets = overlapping(4)
    whole, chunked = LogisticHead(8, 4, 1.0, 500), LogisticHead(8, 4, 1.0, 500)
    whole.begin(features, targets)
    monkeypatch.setattr("modeling.heads.logistic._CHUNK", 130)
    with torch.no_grad():
        chunked.begin(features, targets)
    torch.testing.assert_close(logits(chunked, features), logits(whole, features), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["cosine", "prototype", "nearest"])
def test_directions_are_the_same_however_many_rows_are_looked_at_together(monkeypatch: pytest.MonkeyPatch, kind: str):
    whole = learnt(kind, steps=0)
    monkeypatch.setattr("modeling.heads.prototype.CHUNK", 7)
    monkeypatch.setattr("modeling.heads.nearest.CHUNK", 7)
    torch.testing.assert_close(learnt(kind, steps=0).state_dict(), whole.state_dict())
