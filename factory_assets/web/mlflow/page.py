"""MLflow's page as the front door serves it: registered models first, no assistant."""

from __future__ import annotations

from pathlib import Path

START = "/factory-start.js"

SCRIPT = b"""\
const toModels = () => {
  if (["", "#", "#/"].includes(location.hash)) location.replace("#/models");
};
toModels();
addEventListener("hashchange", toModels);
for (const [key, value] of Object.entries({
  "mlflow.workflowType": "machine_learning",
  "mlflow.assistant.panelOpen": false,
  "mlflow.assistant.fab.autoOpenedOnFirstLoad": true,
  "mlflow.settings.telemetry.enabled": false,
  "mlflow.telemetry.info.alert.dismissed": true,
  "_mlflow_model_registry_promo_modal_dismissed": true,
})) localStorage.setItem(`${key}_v1`, JSON.stringify(value));
"""
"""Runs before MLflow's own: start at the models, with what the UI remembers of a person who closed
its advertisements."""

_STYLE = """\
html body :is([data-assistant-ui],
[data-component-id*="CreateModelButton"],
div:has(> [data-component-id*="modelsnextuitoggleswitch"]),
aside a[href^="#/settings"], aside a[href^="http"], aside nav a[href="#/"],
aside div:has(> [role="button"])) { display: none !important; }
"""
"""Hides the assistant, links to other hosts, language models, and what is refused anyway.

By `html body` it counts for more than the UI's own style, which comes later and is important, too.
"""


def index(folder: Path) -> bytes:
    """Return MLflow's page with our script and style before its own.

    Args:
        folder: of MLflow's built UI.
    """
    page = (folder / "index.html").read_text("utf-8")
    ours = f'<script src=".{START}"></script><style>{_STYLE}</style>'
    return page.replace("<head>", f"<head>{ours}", 1).encode()
