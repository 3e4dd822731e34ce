"""`xdsctl bootstrap`: what a proxy must be started with to find the control plane and to say who it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from xds.cli.options import XDS_ADDRESS, Address, describes_node, output_option
from xds.cli.output import print_data
from xds.cli.xds_tls import XdsTls, describes_xds_tls

if TYPE_CHECKING:
    from xds.cli.node import NodeFlags

ENVOY_ADMIN_ADDRESS = "127.0.0.1:9901"


@click.command()
@describes_node("sidecar", "gateway", "node")
@click.option("--grpc", is_flag=True, help="For a proxyless gRPC client: the file that GRPC_XDS_BOOTSTRAP names, as JSON.")
@click.option("--delta/--sotw", default=True, show_default=True, help="Incremental xDS, or state of the world.")
@click.option(
    "--xds-address",
    type=Address(XDS_ADDRESS, unix=True),
    default=XDS_ADDRESS,
    show_default=True,
    help="Where the control plane serves xDS.",
)
@describes_xds_tls
@click.option(
    "--envoy-admin-address",
    type=Address(ENVOY_ADMIN_ADDRESS),
    default=ENVOY_ADMIN_ADDRESS,
    show_default=True,
    help="Where Envoy's own admin page is.",
)
@output_option("yaml", "json")
@click.pass_context
def bootstrap(  # noqa: PLR0913 - an argument for each option
    ctx: click.Context,
    node: NodeFlags,
    *,
    grpc: bool,
    delta: bool,
    xds_address: str,
    xds_tls: XdsTls | None,
    envoy_admin_address: str,
    output: str,
) -> None:
    """Print the bootstrap of an Envoy or of a gRPC client.

    Paths of certificates are made absolute; the files need to exist where the proxy runs.

    \b
    xdsctl bootstrap --node web-1 --cluster east --region eu --zone eu-1 > envoy.yaml
    envoy -c envoy.yaml
    """  # noqa: D301 - click wants the character, not a backslash
    if grpc:
        if node.role:
            raise click.UsageError("--role is for Envoy; a gRPC client is always proxyless", ctx)
        if output == "yaml" and ctx.get_parameter_source("output") is not ParameterSource.DEFAULT:
            raise click.UsageError("-o yaml is for Envoy; a gRPC client reads JSON", ctx)
        print_data(grpc_bootstrap(node, xds_address, xds_tls), "json")
        return
    from xds.cli.envoy_bootstrap import envoy_bootstrap

    made = envoy_bootstrap(node, xds_address, admin_address=envoy_admin_address, delta=delta, tls=xds_tls)
    print_data(made, output)


def grpc_bootstrap(node: NodeFlags, xds_address: str, tls: XdsTls | None = None) -> dict[str, Any]:
    """Return the bootstrap of a gRPC client (gRFC A27; `xds_v3`: A30; TLS: A65)."""
    credentials = tls.channel_creds() if tls else {"type": "insecure"}
    said = node.metadata["isthmus"] | {"role": "proxyless"}
    return {
        "xds_servers": [{"server_uri": xds_address, "channel_creds": [credentials], "server_features": ["xds_v3"]}],
        "node": {
            "id": node.node_id,
            "cluster": node.workload or "proxyless",
            "locality": node.locality,
            "metadata": {"isthmus": said},
        },
    }
