"""Which GraphQL operations of Dagster may be asked for, and why the others may not.

An operation that is on no list is refused; a test fails when a release brings one that nobody has
decided about. Reading a document belongs in `documents`.
"""

from collections.abc import Mapping
from types import MappingProxyType

QUERIES = frozenset(
    {
        "appManagedComponentsForLocationOrError",
        "assetBackfillPreview",
        "assetCheckExecutions",
        "assetConditionEvaluationForPartition",
        "assetConditionEvaluationRecordsOrError",
        "assetNodeAdditionalRequiredKeys",
        "assetNodeDefinitionCollisions",
        "assetNodeOrError",
        "assetNodes",
        "assetOrError",
        "assetRecordsOrError",
        "assetsLatestInfo",
        "assetsOrError",
        "autoMaterializeTicks",
        "capturedLogs",
        "capturedLogsMetadata",
        "componentTypesForLocationOrError",
        "componentsForLocationOrError",
        "graphOrError",
        "instance",
        "instigationStateOrError",
        "isPipelineConfigValid",
        "latestDefsStateInfo",
        "locationStatusesOrError",
        "logsForRun",
        "partitionBackfillOrError",
        "partitionBackfillsOrError",
        "partitionSetOrError",
        "partitionSetsOrError",
        "permissions",
        "pipelineOrError",
        "pipelineRunOrError",
        "pipelineRunsOrError",
        "pipelineSnapshotOrError",
        "repositoriesOrError",
        "repositoryOrError",
        "resourcesOrError",
        "runConfigSchemaOrError",
        "runGroupOrError",
        "runOrError",
        "runTagKeysOrError",
        "runTagsOrError",
        "runsFeedCountOrError",
        "runsFeedOrError",
        "runsOrError",
        "scheduleOrError",
        "sensorOrError",
        "shouldShowNux",
        "topLevelResourceDetailsOrError",
        "truePartitionsForAutomationConditionEvaluationNode",
        "version",
        "workspaceLocationEntryOrError",
        "workspaceOrError",
    }
)
"""What the pages of Dagster's UI ask for; anybody with a session may read it."""

SUBSCRIPTIONS = frozenset({"capturedLogs", "locationStateChangeEvents", "pipelineRunLogs"})
"""What the pages watch; anybody with a session may."""

MUTATIONS = frozenset(
    {
        # A run computes under the gates and approvals of its pipeline, whoever starts it.
        "launchMultipleRuns",
        "launchPipelineExecution",
        "launchPipelineReexecution",
        "launchRun",
        "launchRunReexecution",
        "terminatePipelineExecution",
        "terminateRun",
        "terminateRuns",
        "cancelPartitionBackfill",
        "launchPartitionBackfill",
        "reexecutePartitionBackfill",
        "resumePartitionBackfill",
        # The keys of some pipelines are added by hand.
        "addDynamicPartition",
        "resetSchedule",
        "scheduleDryRun",
        "startSchedule",
        "stopRunningSchedule",
        "resetSensor",
        "sensorDryRun",
        "setSensorCursor",
        "startSensor",
        "stopSensor",
        # They load what is declared in the files, which no page can change.
        "reloadRepositoryLocation",
        "reloadWorkspace",
        # How many trainings share a GPU.
        "deleteConcurrencyLimit",
        "freeConcurrencySlots",
        "freeConcurrencySlotsForRun",
        "setConcurrencyLimit",
    }
)
"""What an engineer may do; each is entered in the ledger before it is done."""

_NO_PAGE = "no page of the UI asks for it"
_HISTORY = "the history of runs and results is kept; `factory gc` removes what nothing refers to"
_NO_RUN = "only a run may report results and checks"
_DECLARED = "components are declared in files"

REFUSED: Mapping[str, str] = MappingProxyType(
    {
        "__schema": "the UI does not need the schema, and its answer can be made very large",
        "__type": "the UI does not need the schema, and its answer can be made very large",
        "allTopLevelResourceDetailsOrError": _NO_PAGE,
        "assetConditionEvaluationsForEvaluationId": _NO_PAGE,
        "autoMaterializeAssetEvaluationsOrError": _NO_PAGE,
        "autoMaterializeEvaluationsForEvaluationId": _NO_PAGE,
        "canBulkTerminate": _NO_PAGE,
        "executionPlanOrError": _NO_PAGE,
        "instigationStatesOrError": _NO_PAGE,
        "runIdsOrError": _NO_PAGE,
        "scheduler": _NO_PAGE,
        "schedulesOrError": _NO_PAGE,
        "sensorsOrError": _NO_PAGE,
        "test": _NO_PAGE,
        "utilizedEnvVarsOrError": _NO_PAGE,
        "deletePipelineRun": _HISTORY,
        "deleteRun": _HISTORY,
        "wipeAssets": _HISTORY,
        "deleteDynamicPartitions": _HISTORY,
        "reportAssetCheckEvaluations": _NO_RUN,
        "reportRunlessAssetEvents": _NO_RUN,
        "deleteAppManagedComponent": _DECLARED,
        "refreshComponentState": _DECLARED,
        "setAppManagedComponent": _DECLARED,
        "setAutoMaterializePaused": "sensors and schedules are started and stopped one by one",
        "shutdownRepositoryLocation": "`factory up` starts and stops the code server",
        "logTelemetry": "telemetry is off",
        "setNuxSeen": "the UI has no tour for new users here",
    }
)
"""What nobody may ask for, with the reason."""

REFUSED_PERMISSIONS = frozenset(
    {
        "delete_pipeline_run",
        "wipe_assets",
        "report_runless_asset_events",
        "edit_app_managed_components",
        "refresh_component_state",
        "toggle_auto_materialize",
    }
)
"""Dagster's permissions that nobody has here, so that its pages do not offer what is refused."""

REFUSED_IN_QUERIES = frozenset({"evaluationResult"})
"""Fields that would run the code of a sensor or a schedule, which only a mutation may do."""
