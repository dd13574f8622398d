"""Makes a ConfigMap and watches it come and go."""
from kubernetes import client, config, watch

config.load_kube_config()
core = client.CoreV1Api()
core.create_namespaced_config_map("default", {"metadata": {"name": "from-python"}, "data": {"text": "hello"}})
seen = []
for event in watch.Watch().stream(core.list_namespaced_config_map, "default", field_selector="metadata.name=from-python", timeout_seconds=20):
    seen.append(event["type"])
    print(event["type"], event["object"].metadata.name)
    if event["type"] == "ADDED":
        core.delete_namespaced_config_map("from-python", "default")
    if event["type"] == "DELETED":
        break
assert seen == ["ADDED", "DELETED"], seen
