"""A component is bytes: what schemathesis makes up for it is sent as it is."""

import schemathesis


@schemathesis.serializer("application/wasm")
def component(ctx, value):
    return value if isinstance(value, bytes) else str(value).encode()
