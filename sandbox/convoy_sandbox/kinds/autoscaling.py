"""HorizontalPodAutoscalers of autoscaling/v2."""

from __future__ import annotations

from ..errors import Cause
from ..store import Object
from .base import Kind, required, wrong


class HorizontalPodAutoscalerKind(Kind):
    def default(self, obj: Object) -> None:
        spec = obj.setdefault("spec", {})
        spec.setdefault("minReplicas", 1)
        if not spec.get("metrics"):
            target = {"type": "Utilization", "averageUtilization": 80}
            spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
        status = obj.setdefault("status", {})
        status.setdefault("desiredReplicas", 0)
        status.setdefault("currentMetrics", None)

    def validate(self, obj: Object, old: Object | None) -> list[Cause]:
        spec = obj["spec"]
        target = spec.get("scaleTargetRef") or {}
        causes = [required(f"spec.scaleTargetRef.{key}") for key in ("kind", "name") if not target.get(key)]
        least, most = spec["minReplicas"], spec.get("maxReplicas", 0)
        if least < 1:
            causes.append(wrong("spec.minReplicas", least, "must be greater than or equal to 1"))
        if most < 1:
            causes.append(wrong("spec.maxReplicas", most, "must be greater than 0"))
        if most < least:
            causes.append(wrong("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`"))
        return causes
