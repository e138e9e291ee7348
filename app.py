"""The CDK app: settings in, one stack out. Synthesis needs no credentials, network, Docker or clock."""

import sys

from infra.settings import Settings, SettingsError  # first: the package chooses the Node.js of the CDK
from infra.stack import WhippetStack

import aws_cdk as cdk  # isort: skip


def main() -> int:
    """Synthesise the environment that `-c env=NAME` chooses; return the exit status, 1 when a setting is wrong."""
    app = cdk.App(analytics_reporting=False)
    try:
        settings = Settings.from_context(app.node.get_all_context())
    except SettingsError as error:
        print(error, file=sys.stderr)
        return 1
    WhippetStack(app, settings=settings)
    app.synth()
    return 0


if __name__ == "__main__":
    sys.exit(main())
