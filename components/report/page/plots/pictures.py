"""All pictures of a run page."""

from typing import Any

from components.report.page.plots.distances import cross_pictures, distance_pictures
from components.report.page.plots.picture import Picture
from components.report.page.plots.slices import slices_pictures
from components.report.page.plots.training import training_pictures
from components.report.page.plots.tsne import tsne_pictures
from components.report.page.slice_rows import compared_with


def pictures(figures: dict[str, Any], view: dict[str, Any]) -> dict[str, list[Picture]]:
    """Draw what a page shows, by place on the page.

    Args:
        figures: what `run.json` holds.
        view: of `components.report.page.view.page_view`, whose findings go into the texts for those who do not see.
    """
    found = {
        "slices": slices_pictures(
            view["slices"], view["titles"], compared_with(figures["evaluation"]), " ".join(view["slices_findings"])
        )
    }
    for stage, title in view["stages"].items():
        found[stage] = training_pictures(title, figures["training"][stage], view["training_findings"][stage])
    if states := figures["states"]:
        findings, titles = view["states_findings"], view["sides"]
        found["distance"] = distance_pictures(states, titles, findings["distance"])
        found["tsne"] = tsne_pictures(states["tsne"], titles, findings["tsne"])
        found["cross"] = cross_pictures(states, titles, findings["cross"])
    return found
