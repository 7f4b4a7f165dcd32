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

. k8s/steps/common.sh
case $PROVIDER in
  kind | minikube | current) OVERLAY=${OVERLAY:-local} ;;
  eks) OVERLAY=${OVERLAY:-eks} ;;
  *) fail "unknown provider $PROVIDER: kind, minikube, eks or current" ;;
esac
. k8s/steps/provider.sh
. k8s/steps/secrets.sh
. k8s/steps/charts.sh

up() {
  if has airflow; then git_repo >/dev/null; fi
  if [ "$OVERLAY" = eks ] && [ -z "${IMAGE_REGISTRY:-}" ]; then
    fail "IMAGE_REGISTRY: where bigdata/airflow and bigdata/spark are; a public registry's \"bigdata\" is somebody else"
  fi
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
  kubectl kustomize "k8s/overlays/$OVERLAY" | sed "s#image: bigdata/#image: ${IMAGE_REGISTRY:+$IMAGE_REGISTRY/}bigdata/#" \
    | kubectl apply --server-side -f -
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

# What the operators look after, while they are there to take their finalizers off: first what makes others of them
# (schedules, blue-green deployments) or needs others to go (savepoints, session jobs, connectors, topics).
KINDS="scheduledsparkapplications.sparkoperator.k8s.io sparkapplications.sparkoperator.k8s.io
  sparkconnects.sparkoperator.k8s.io flinkstatesnapshots.flink.apache.org flinkbluegreendeployments.flink.apache.org
  flinksessionjobs.flink.apache.org flinkdeployments.flink.apache.org kafkaconnectors.kafka.strimzi.io
  kafkaconnects.kafka.strimzi.io kafkamirrormaker2s.kafka.strimzi.io kafkabridges.kafka.strimzi.io
  kafkarebalances.kafka.strimzi.io kafkausers.kafka.strimzi.io kafkatopics.kafka.strimzi.io kafkas.kafka.strimzi.io
  kafkanodepools.kafka.strimzi.io"

remove_airflow() {
  uninstall airflow airflow
  # Its workers are no chart's. Told to end, they stop the jobs that they wait for.
  kubectl --namespace airflow delete pods --selector kubernetes_executor=True --wait --timeout "$WAIT"
}

remove_all() {
  remove_airflow # before the rest, or it would make that anew
  step "What the operators look after"
  local kind
  for kind in $KINDS; do
    if kubectl get crd "$kind" >/dev/null 2>&1; then
      kubectl --namespace bigdata delete "$kind" --all --wait --timeout "$WAIT"
    fi
  done
  kubectl --namespace bigdata wait pods --selector strimzi.io/cluster --for=delete --timeout "$WAIT"
  uninstall strimzi strimzi
  # Strimzi's for racks. It stays if Kafka went while the operator still waited for its brokers.
  kubectl delete clusterrolebinding strimzi-bigdata-kafka-kafka-init --ignore-not-found
  uninstall flink-operator flink-operator
  uninstall spark-operator spark-operator
  if kubectl get crd podmonitors.monitoring.coreos.com >/dev/null 2>&1; then
    kubectl delete -k k8s/monitoring --ignore-not-found
  fi
  uninstall monitoring monitoring
  step "Namespaces"
  kubectl delete -k k8s/base --ignore-not-found --wait --timeout "$WAIT"
  kubectl delete namespaces --selector app.kubernetes.io/part-of=bigdata --wait --timeout "$WAIT"
}

down() {
  local command
  command=$(provider_command)
  if [ -n "$command" ]; then
    ask "Delete the cluster with all its data ($command)?" || { echo "The cluster stays as it is."; return 0; }
    if [ "$PROVIDER" = eks ]; then # or the disks and the load balancer would outlive it
      eksctl utils write-kubeconfig --config-file "$EKS"
      remove_all
      if [ -n "$(kubectl get pv --output name)" ]; then
        kubectl wait pv --all --for=delete --timeout "$WAIT" || echo "Some disks stay, see above."
      fi
    fi
    $command
  elif ask "Remove it all from $(kubectl config current-context), with the namespaces airflow and bigdata and their data: Airflow's \
database, objects in S3, topics, passwords?"; then
    remove_all
  else
    echo "All stays as it is."
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
