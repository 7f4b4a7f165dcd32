#!/usr/bin/env bash
# The whole platform on a cluster: k8s/cluster.sh up|down [kind|minikube|eks|current]
# Each step looks at what is there, so that a run after a failure goes on. docs/platform.md tells the same steps for
# hands, and what the variables are for.
set -euo pipefail
cd "$(dirname "$0")/.."

COMMAND=${1:-} PROVIDER=${2:-current}
CLUSTER_NAME=${CLUSTER_NAME:-bigdata}
COMPONENTS=${COMPONENTS:-spark-operator strimzi flink-operator airflow} # and monitoring
WAIT=${WAIT:-10m}
case $PROVIDER in eks) OVERLAY=${OVERLAY:-eks} ;; *) OVERLAY=${OVERLAY:-local} ;; esac

. k8s/steps/common.sh
. k8s/steps/provider.sh
. k8s/steps/secrets.sh
. k8s/steps/charts.sh

up() {
  provider_up
  provider_images
  step "Namespaces, accounts and Roles"
  kubectl apply --server-side -k k8s/base
  make_secrets
  if has monitoring; then install_monitoring; fi
  if has spark-operator; then install_spark_operator; fi
  if has flink-operator; then install_flink_operator; fi
  if has strimzi; then install_strimzi; fi
  step "Overlay $OVERLAY"
  kubectl apply --server-side -k "k8s/overlays/$OVERLAY"
  if [ "$OVERLAY" = local ]; then
    kubectl --namespace airflow rollout status statefulset/airflow-postgres --timeout "$WAIT"
    kubectl --namespace bigdata rollout status statefulset/s3 --timeout "$WAIT"
  fi
  if has strimzi; then
    step "Kafka"
    kubectl apply --server-side -k "k8s/overlays/$OVERLAY/kafka"
    kubectl --namespace bigdata wait kafka/kafka --for=condition=Ready --timeout "$WAIT"
  fi
  if has airflow; then install_airflow; show_login; fi
}

down() {
  if provider_down; then return; fi
  step "What the operators look after"
  for kind in sparkapplications.sparkoperator.k8s.io scheduledsparkapplications.sparkoperator.k8s.io \
    flinkdeployments.flink.apache.org kafkatopics.kafka.strimzi.io kafkas.kafka.strimzi.io kafkanodepools.kafka.strimzi.io; do
    if kubectl get crd "$kind" >/dev/null 2>&1; then
      kubectl --namespace bigdata delete "$kind" --all --wait --timeout "$WAIT"
    fi
  done
  uninstall airflow airflow
  uninstall strimzi strimzi
  uninstall flink-operator flink-operator
  uninstall spark-operator spark-operator
  uninstall monitoring monitoring
  if ask "Delete the namespaces airflow and bigdata with their data: Airflow's database, objects in S3, topics, passwords?"; then
    kubectl delete -k k8s/base --ignore-not-found --wait --timeout "$WAIT"
  else
    echo "The namespaces airflow and bigdata stay as they are."
  fi
}

case $COMMAND in
  up | down)
    need kubectl "https://kubernetes.io/docs/tasks/tools/"
    need helm "https://helm.sh/docs/intro/install/"
    $COMMAND
    ;;
  *) fail "k8s/cluster.sh up|down [kind|minikube|eks|current]" ;;
esac
