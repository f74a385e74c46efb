"""Accuracy from a model learned on trained networks."""

from dataclasses import dataclass

from nas.accuracy.predictor import AccuracyModel, load_accuracy_model, modelled_spaces
from nas.core.errors import UnknownName
from nas.searching.problem import Candidates, Metrics
from nas.space.space import Space


@dataclass(frozen=True, slots=True)
class Surrogate:
    """Predicts the accuracy of a space's architectures."""

    model: AccuracyModel
    seconds: float = 2e-6

    @property
    def provides(self) -> tuple[str, ...]:
        """The metric that the model was learned on."""
        return (self.model.metric,)

    @property
    def note(self) -> str:
        """The note of the model."""
        return self.model.note

    def __call__(self, candidates: Candidates) -> Metrics:
        """Return the predicted accuracy of every candidate, a fraction."""
        return {self.model.metric: self.model.accuracy(candidates.picks)}

    def deviation(self, candidates: Candidates) -> Metrics:
        """Return the standard deviation of every prediction, a fraction."""
        return {self.model.metric: self.model.predict_matrix(candidates.picks).deviation}

    def outside(self, accuracy: float) -> str:
        """Return how an accuracy lies outside the range that the model was fitted on."""
        return self.model.outside(accuracy)

    def __str__(self) -> str:
        """Return the text that names this evaluator in a problem."""
        return f"surrogate:{self.model.fingerprint}"

    @property
    def earlier(self) -> frozenset[str]:
        """The texts that named this evaluator in earlier versions."""
        return frozenset(f"surrogate:{digits}" for digits in self.model.earlier_fingerprints)


def create(space: Space, *, path: str = "") -> Surrogate:
    """Return the evaluator for one space, from the bundled model or the file at `path`.

    Raises:
        UnknownName: if there is no bundled model for the space.
        BadFile: if the model was learned on another space.
    """
    if not path and space.name not in modelled_spaces():
        raise UnknownName(
            f"no accuracy model is bundled for space {space.name}; name an evaluator of accuracy: "
            "`data=imagefolder:/path` `evaluator=proxy` trains on your images, "
            "`evaluator=published` predicts for MBConv blocks, `evaluator=surrogate:MODEL.npz` is "
            "a model of your own, `evaluator=my_package.my_evaluator` another"
        )
    return Surrogate(load_accuracy_model(path or space.name, space))
