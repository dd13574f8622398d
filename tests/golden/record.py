#!/usr/bin/env python3
"""Records what a kube-apiserver answers to requests about objects with empty fields.

    record.py https://127.0.0.1:6443 TOKEN > api/rest/tests/served/recorded.jsonl

The server must be fresh: one etcd, no controllers, `--service-cluster-ip-range=10.96.0.0/16`, and TOKEN an administrator's.
Each line is a request and its answer; api/rest/tests/served/recorded.rs sends the same here.
"""

import json
import ssl
import sys
import urllib.error
import urllib.request

JSON, MERGE = "application/json", "application/merge-patch+json"
JSON_PATCH, STRATEGIC = "application/json-patch+json", "application/strategic-merge-patch+json"
APPLY = "application/apply-patch+yaml"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io"
PARTIAL = "application/json;as=PartialObjectMetadata;v=v1;g=meta.k8s.io"

CONTAINER = {"name": "c", "image": "nginx:1", "args": [], "env": [], "ports": [], "resources": {"limits": {}}}
TEMPLATE = {
    "metadata": {"labels": {"a": "b"}, "annotations": {}},
    "spec": {"containers": [CONTAINER], "volumes": None, "nodeSelector": {}, "tolerations": [], "hostNetwork": False},
}
SELECTOR = {"matchLabels": {"a": "b"}, "matchExpressions": []}

# Of each kind: where it lives, an object with empty fields, a replacement for some of it, a patch for its parts, and a status.
KINDS = {
    "Pod": ("v1", "pods", True,
        {"spec": {**TEMPLATE["spec"], "affinity": {}, "securityContext": {"sysctls": []},
                  "volumes": [{"name": "p", "projected": {"sources": []}}, {"name": "e"}]}},
        {"spec": {"activeDeadlineSeconds": 5}},
        {"spec": {"containers": [{"name": "c", "image": "nginx:2"}]}},
        {"conditions": [{"type": "Ready", "status": "False"}], "podIPs": [], "containerStatuses": [
            {"name": "c", "ready": False, "restartCount": 0, "image": "i", "imageID": ""}]}),
    "ReplicationController": ("v1", "replicationcontrollers", True,
        {"spec": {"replicas": 0, "selector": {}, "template": TEMPLATE}},
        {"spec": {"minReadySeconds": 0}}, {"spec": {"replicas": 2}}, {"replicas": 0, "conditions": []}),
    "Deployment": ("apps/v1", "deployments", True,
        {"spec": {"replicas": 0, "selector": SELECTOR, "template": TEMPLATE, "strategy": {}, "paused": False}},
        {"spec": {"minReadySeconds": 0}}, {"spec": {"replicas": 2}},
        {"conditions": [{"type": "Available", "status": "True"}], "replicas": 0}),
    "StatefulSet": ("apps/v1", "statefulsets", True,
        {"spec": {"selector": SELECTOR, "template": TEMPLATE, "serviceName": "", "volumeClaimTemplates": []}},
        {"spec": {"minReadySeconds": 0}}, {"spec": {"replicas": 2}}, {"replicas": 0}),
    "DaemonSet": ("apps/v1", "daemonsets", True,
        {"spec": {"selector": SELECTOR, "template": TEMPLATE, "updateStrategy": {}}},
        {"spec": {"minReadySeconds": 0}}, {"spec": {"revisionHistoryLimit": 0}}, {"conditions": []}),
    "CronJob": ("batch/v1", "cronjobs", True,
        {"spec": {"schedule": "* * * * *", "suspend": False, "jobTemplate": {"metadata": {}, "spec": {"template": {
            "spec": {"containers": [CONTAINER], "restartPolicy": "Never"}}}}}},
        {"spec": {"failedJobsHistoryLimit": 0}}, {"spec": {"suspend": True}}, {"active": []}),
    "Service": ("v1", "services", True,
        {"spec": {"selector": {}, "ports": [{"port": 80, "name": ""}], "externalIPs": []}},
        {"spec": {"publishNotReadyAddresses": False}}, {"spec": {"ports": [{"port": 80, "targetPort": 8080}]}},
        {"loadBalancer": {"ingress": []}, "conditions": []}),
    "ConfigMap": ("v1", "configmaps", True,
        {"data": {}, "binaryData": {}, "immutable": False}, {"data": {"a": ""}}, {"data": {"b": "c"}}, None),
    "Secret": ("v1", "secrets", True,
        {"data": {}, "stringData": {}, "type": ""}, {"data": {"a": ""}}, {"data": {"b": "Yg=="}}, None),
    "ServiceAccount": ("v1", "serviceaccounts", True,
        {"secrets": [], "imagePullSecrets": []}, {"automountServiceAccountToken": False},
        {"imagePullSecrets": [{"name": "x"}]}, None),
    "Namespace": ("v1", "namespaces", False,
        {"spec": {"finalizers": []}}, {"status": {}}, {"metadata": {"annotations": {"b": ""}}}, {"conditions": []}),
    "Node": ("v1", "nodes", False,
        {"spec": {"taints": [], "podCIDRs": []}, "status": {"conditions": [], "nodeInfo": {"machineID": "m"}}},
        {"spec": {"unschedulable": False}}, {"spec": {"unschedulable": True}},
        {"conditions": [{"type": "Ready", "status": "True"}], "addresses": [], "images": []}),
    "LimitRange": ("v1", "limitranges", True,
        {"spec": {"limits": []}}, {"spec": {"limits": None}}, {"spec": {"limits": [{"type": "Container"}]}}, None),
    "ResourceQuota": ("v1", "resourcequotas", True,
        {"spec": {"hard": {}, "scopes": []}}, {"spec": {"hard": {"pods": "0"}}}, {"spec": {"hard": {"secrets": "50"}}},
        {"hard": {}, "used": {}}),
    "EndpointSlice": ("discovery.k8s.io/v1", "endpointslices", True,
        {"addressType": "IPv4", "endpoints": [], "ports": None}, {"ports": []},
        {"endpoints": [{"addresses": ["10.0.0.1"], "conditions": {}}]}, None),
    "Ingress": ("networking.k8s.io/v1", "ingresses", True,
        {"spec": {"rules": [{"host": ""}], "tls": [], "defaultBackend": {"service": {"name": "s", "port": {"number": 80}}}}},
        {"spec": {"tls": [{"hosts": []}]}}, {"spec": {"ingressClassName": "x"}}, {"loadBalancer": {}}),
    "NetworkPolicy": ("networking.k8s.io/v1", "networkpolicies", True,
        {"spec": {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]}]}},
        {"spec": {"policyTypes": []}}, {"spec": {"ingress": [{}]}}, None),
    "PodDisruptionBudget": ("policy/v1", "poddisruptionbudgets", True,
        {"spec": {"minAvailable": 0, "selector": {}}}, {"spec": {"maxUnavailable": 0, "minAvailable": None}},
        {"spec": {"selector": {"matchLabels": {"a": ""}}}}, {"disruptedPods": {}, "conditions": []}),
    "Role": ("rbac.authorization.k8s.io/v1", "roles", True,
        {"rules": []}, {"rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"], "resourceNames": []}]},
        {"rules": [{"apiGroups": [""], "resources": ["x"], "verbs": ["*"]}]}, None),
    "ClusterRole": ("rbac.authorization.k8s.io/v1", "clusterroles", False,
        {"rules": None}, {"rules": [{"nonResourceURLs": ["/x"], "verbs": ["get"]}]},
        {"aggregationRule": {"clusterRoleSelectors": [{}]}}, None),
    "RoleBinding": ("rbac.authorization.k8s.io/v1", "rolebindings", True,
        {"roleRef": {"kind": "Role", "name": "r"}, "subjects": []}, {"subjects": None},
        {"subjects": [{"kind": "User", "name": "u"}]}, None),
    "StorageClass": ("storage.k8s.io/v1", "storageclasses", False,
        {"provisioner": "a.b/c", "parameters": {}, "mountOptions": []}, {"allowVolumeExpansion": False},
        {"allowVolumeExpansion": True}, None),
    "PriorityClass": ("scheduling.k8s.io/v1", "priorityclasses", False,
        {"value": 0, "globalDefault": False}, {"description": ""}, {"description": "d"}, None),
    "IngressClass": ("networking.k8s.io/v1", "ingressclasses", False,
        {"spec": {"controller": "a.b/c", "parameters": None}}, {"spec": {}}, {"metadata": {"labels": {"x": ""}}}, None),
    "HorizontalPodAutoscaler": ("autoscaling/v2", "horizontalpodautoscalers", True,
        {"spec": {"scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "d"}, "maxReplicas": 3, "metrics": [], "behavior": {}}},
        {"spec": {"minReplicas": 1}}, {"spec": {"maxReplicas": 5}}, {"currentReplicas": 0, "conditions": []}),
}


def merged(base, change):
    """`change` laid over `base`."""
    if not isinstance(base, dict) or not isinstance(change, dict):
        return change
    return {**base, **{name: merged(base.get(name), value) for name, value in change.items()}}


def requests():
    """Every request: name, method, path, media type, accept, body."""
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
    yield "what pods need", "POST", "/api/v1/namespaces/default/serviceaccounts", JSON, None, account
    for kind, (version, plural, namespaced, body, replacement, part, status) in KINDS.items():
        name = kind.lower()
        home = ("/api/" if version == "v1" else "/apis/") + version + ("/namespaces/default/" if namespaced else "/") + plural
        path = f"{home}/{name}"
        head = {"apiVersion": version, "kind": kind, "metadata": {"name": name, "labels": {}, "annotations": None}}
        whole = {**head, **body}
        yield f"{kind}: dry run", "POST", f"{home}?dryRun=All", JSON, None, whole
        yield f"{kind}: create", "POST", home, JSON, None, whole
        yield f"{kind}: replace", "PUT", path, JSON, None, merged(whole, replacement)
        yield f"{kind}: merge patch", "PATCH", path, MERGE, None, merged({"metadata": {"labels": {"l": ""}}}, part)
        operations = [{"op": "add", "path": "/metadata/annotations", "value": {}},
                      {"op": "add", "path": "/metadata/finalizers", "value": []}]
        yield f"{kind}: JSON patch", "PATCH", path, JSON_PATCH, None, operations
        yield f"{kind}: strategic patch", "PATCH", path, STRATEGIC, None, merged({"metadata": {"labels": None}}, part)
        config = {**head, **merged({"metadata": {"name": name, "labels": {"applied": "yes"}}}, part)}
        yield f"{kind}: apply", "PATCH", f"{path}?fieldManager=one&force=true", APPLY, None, config
        other = {**config, "metadata": {"name": name, "labels": {"applied": "no"}}}
        yield f"{kind}: apply in conflict", "PATCH", f"{path}?fieldManager=two", APPLY, None, other
        if status is not None:
            yield f"{kind}: status", "PATCH", f"{path}/status", MERGE, None, {"status": status}
        yield f"{kind}: get", "GET", path, None, None, None
        # Kubernetes' table of it lacks an annotation that the object has.
        if kind != "DaemonSet":
            yield f"{kind}: table", "GET", path, None, TABLE, None
    yield "metadata alone", "GET", "/api/v1/namespaces/default/configmaps/configmap", None, PARTIAL, None


def main():
    server, token = sys.argv[1:]
    trusting = ssl._create_unverified_context()
    for name, method, path, media_type, accept, body in requests():
        headers = {"Authorization": f"Bearer {token}", "User-Agent": "test"}
        headers.update({"Content-Type": media_type} if media_type else {})
        headers.update({"Accept": accept} if accept else {})
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(server + path, data, headers, method=method)
        try:
            response = urllib.request.urlopen(request, context=trusting)
        except urllib.error.HTTPError as error:
            response = error
        answer = json.loads(response.read())
        for column in answer.get("columnDefinitions", []):
            column["description"] = None
        recorded = {"name": name, "method": method, "path": path, "type": media_type, "accept": accept, "body": body,
                    "code": response.status, "answer": answer, "warnings": response.headers.get_all("Warning") or []}
        print(json.dumps(recorded, separators=(",", ":")))


if __name__ == "__main__":
    main()
