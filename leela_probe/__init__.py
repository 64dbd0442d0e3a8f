"""Find out whether chess networks look ahead.

    >>> import leela_probe as lp
    >>> network = lp.load("bundled:planted")  # or any Leela network, .pb.gz or .onnx
    >>> pairs = lp.read_pairs("bundled:planted-puzzles")  # puzzles and corrupted inputs
    >>> table = lp.measure(network, pairs[:2], lp.sweeps.heads(network))
    >>> len(table)  # one row per puzzle and head
    32

`dir(lp)` lists the names to use; `docs/front-door.md` has them on one page. Everything else in the
package is plumbing, which may change from one release to the next.
"""

__version__ = "0.1.0"

__all__ = [
    "Add",
    "Criteria",
    "Evaluation",
    "Intervention",
    "Mask",
    "Network",
    "Pair",
    "Patch",
    "ProbeSettings",
    "Puzzle",
    "Recipe",
    "Scale",
    "ScreenSettings",
    "Search",
    "Settings",
    "Study",
    "Sweep",
    "SweepPoint",
    "Write",
    "Zero",
    "__version__",
    "attention",
    "calibrate",
    "compare",
    "convert",
    "corrupt",
    "draw_board",
    "draw_effects",
    "estimate_effects",
    "filter",
    "intervene",
    "known_networks",
    "load",
    "measure",
    "percentile_curves",
    "planted_network",
    "planted_puzzles",
    "plot",
    "probe",
    "probe_accuracy",
    "random_network",
    "read_activations",
    "read_effects",
    "read_pairs",
    "read_puzzles",
    "recovered",
    "reproduce",
    "screen",
    "significance",
    "split_halves",
    "squares",
    "summarise",
    "sweep",
    "sweeps",
    "verify",
    "write_activations",
]

# Nothing is imported before it is used. Type checkers read the imports below, Python the table
# beneath them; a test holds the two together.
TYPE_CHECKING = False  # as type checkers know it; `typing` itself would cost more than all of this

if TYPE_CHECKING:
    from leela_probe.experiments import sweeps
    from leela_probe.experiments.attention_reading import measure as attention
    from leela_probe.experiments.effect_tables import read as read_effects
    from leela_probe.experiments.effect_tables import recovered
    from leela_probe.experiments.effects import Settings, measure, sweep
    from leela_probe.experiments.plotting import plot
    from leela_probe.experiments.screen import Settings as ScreenSettings
    from leela_probe.experiments.screen import estimate as estimate_effects
    from leela_probe.experiments.screen import verify as screen
    from leela_probe.experiments.sweeps import Sweep, SweepPoint
    from leela_probe.figures.diagrams import draw_board
    from leela_probe.figures.diagrams import effect_boards as draw_effects
    from leela_probe.networks.activations import read as read_activations
    from leela_probe.networks.activations import write as write_activations
    from leela_probe.networks.conversion import convert
    from leela_probe.networks.evaluation import Evaluation
    from leela_probe.networks.intervening import intervene
    from leela_probe.networks.interventions import (
        Add,
        Intervention,
        Mask,
        Patch,
        Scale,
        Write,
        Zero,
    )
    from leela_probe.networks.network import Network, load
    from leela_probe.networks.verification import against_lc0 as verify
    from leela_probe.organisms.calibration import calibrate
    from leela_probe.organisms.calibration import organisms as known_networks
    from leela_probe.organisms.planted import write as planted_network
    from leela_probe.organisms.planted_puzzles import make as planted_puzzles
    from leela_probe.positions import squares
    from leela_probe.probing.accuracies import of_predictions as probe_accuracy
    from leela_probe.probing.recipes import Recipe
    from leela_probe.probing.stage import Settings as ProbeSettings
    from leela_probe.probing.stage import probe
    from leela_probe.puzzles.corruptions import corrupt
    from leela_probe.puzzles.criteria import Criteria
    from leela_probe.puzzles.filters import filter_puzzles as filter
    from leela_probe.puzzles.lichess import Puzzle
    from leela_probe.puzzles.lichess import read as read_puzzles
    from leela_probe.puzzles.pairs import Pair
    from leela_probe.puzzles.pairs import read as read_pairs
    from leela_probe.puzzles.partners import Search
    from leela_probe.statistics.comparisons import family as significance
    from leela_probe.statistics.comparisons import paired as compare
    from leela_probe.statistics.split_halves import choose as split_halves
    from leela_probe.statistics.stats import percentile_curves, summarise
    from leela_probe.study.reproduction import in_one_call as reproduce
    from leela_probe.study.study import Study
    from leela_probe.weights.random_networks import write as random_network
else:
    _PLACES = {  # in the order of work, as on the page
        # networks
        "load": "networks.network.load",
        "Network": "networks.network.Network",
        "Evaluation": "networks.evaluation.Evaluation",
        "verify": "networks.verification.against_lc0",
        "convert": "networks.conversion.convert",
        "random_network": "weights.random_networks.write",
        "squares": "positions.squares",
        # activations
        "write_activations": "networks.activations.write",
        "read_activations": "networks.activations.read",
        # interventions
        "intervene": "networks.intervening.intervene",
        "Intervention": "networks.interventions.Intervention",
        "Patch": "networks.interventions.Patch",
        "Zero": "networks.interventions.Zero",
        "Mask": "networks.interventions.Mask",
        "Scale": "networks.interventions.Scale",
        "Add": "networks.interventions.Add",
        "Write": "networks.interventions.Write",
        # puzzles
        "read_puzzles": "puzzles.lichess.read",
        "Puzzle": "puzzles.lichess.Puzzle",
        "filter": "puzzles.filters.filter_puzzles",
        "Criteria": "puzzles.criteria.Criteria",
        "corrupt": "puzzles.corruptions.corrupt",
        "Search": "puzzles.partners.Search",
        "read_pairs": "puzzles.pairs.read",
        "Pair": "puzzles.pairs.Pair",
        # experiments
        "sweeps": "experiments.sweeps",
        "Sweep": "experiments.sweeps.Sweep",
        "SweepPoint": "experiments.sweeps.SweepPoint",
        "measure": "experiments.effects.measure",
        "Settings": "experiments.effects.Settings",
        "sweep": "experiments.effects.sweep",
        "estimate_effects": "experiments.screen.estimate",
        "screen": "experiments.screen.verify",
        "ScreenSettings": "experiments.screen.Settings",
        "read_effects": "experiments.effect_tables.read",
        "recovered": "experiments.effect_tables.recovered",
        "attention": "experiments.attention_reading.measure",
        "probe": "probing.stage.probe",
        "ProbeSettings": "probing.stage.Settings",
        "Recipe": "probing.recipes.Recipe",
        "probe_accuracy": "probing.accuracies.of_predictions",
        # statistics and figures
        "summarise": "statistics.stats.summarise",
        "compare": "statistics.comparisons.paired",
        "significance": "statistics.comparisons.family",
        "split_halves": "statistics.split_halves.choose",
        "percentile_curves": "statistics.stats.percentile_curves",
        "plot": "experiments.plotting.plot",
        "draw_board": "figures.diagrams.draw_board",
        "draw_effects": "figures.diagrams.effect_boards",
        # networks whose look-ahead is known
        "planted_network": "organisms.planted.write",
        "planted_puzzles": "organisms.planted_puzzles.make",
        "known_networks": "organisms.calibration.organisms",
        "calibrate": "organisms.calibration.calibrate",
        # the whole study
        "Study": "study.study.Study",
        "reproduce": "study.reproduction.in_one_call",
    }

    def __getattr__(name):
        import sys
        from importlib import import_module

        if name not in _PLACES:
            raise AttributeError(  # with the name, Python offers the nearest
                f"module {__name__!r} has no attribute {name!r}",
                name=name,
                obj=sys.modules[__name__],
            )

        room, _, last = _PLACES[name].rpartition(".")
        owner = import_module(f"{__name__}.{room}")
        value = getattr(owner, last, None)
        if value is None:  # a module that nobody has imported yet
            value = import_module(f"{__name__}.{room}.{last}")
        globals()[name] = value
        return value

    def __dir__():
        return sorted(__all__)
