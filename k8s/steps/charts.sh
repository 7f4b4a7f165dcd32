# shellcheck shell=bash
# The charts, at the versions that were tried. Sourced. With CHART_<NAME> set to a folder or an archive, that is installed.

# install RELEASE NAMESPACE OWN-CHART "ARGUMENTS THAT NAME THE CHART" [HELM ARGUMENTS]...
install() {
  local release=$1 namespace=$2 own=$3 named=$4 state
  shift 4
  step "Chart $release"
  state=$({ helm --namespace "$namespace" status "$release" --output json 2>/dev/null || true; } \
    | sed -n 's/.*"status":"\([a-z-]*\)".*/\1/p')
  case $state in # what a helm that was killed has left would refuse everything
    pending-install | uninstalling) helm --namespace "$namespace" uninstall "$release" --wait ;;
    pending-*) helm --namespace "$namespace" rollback "$release" --wait ;;
  esac
  make_namespace "$namespace"
  # shellcheck disable=SC2086
  helm upgrade --install "$release" ${own:-$named} --namespace "$namespace" \
    --wait --timeout "$WAIT" "$@" | sed -n '/^STATUS/p'
  kubectl --namespace "$namespace" get pods
}

uninstall() {
  if helm --namespace "$2" status "$1" >/dev/null 2>&1; then
    step "Chart $1"
    helm --namespace "$2" uninstall "$1" --wait --timeout "$WAIT"
  fi
}

install_spark_operator() {
  install spark-operator spark-operator "${CHART_SPARK_OPERATOR:-}" \
    "spark-operator --repo https://kubeflow.github.io/spark-operator --version 2.5.2" --values helm/spark-operator.yaml
}

install_strimzi() {
  install strimzi strimzi "${CHART_STRIMZI:-}" \
    "oci://quay.io/strimzi-helm/strimzi-kafka-operator --version 1.2.0" --values helm/strimzi.yaml
}

install_flink_operator() {
  local repo=https://archive.apache.org/dist/flink/flink-kubernetes-operator-1.15.0/
  install flink-operator flink-operator "${CHART_FLINK_OPERATOR:-}" \
    "flink-kubernetes-operator --repo $repo --version 1.15.0" --values helm/flink-operator.yaml
}

install_monitoring() {
  install monitoring monitoring "${CHART_MONITORING:-}" \
    "kube-prometheus-stack --repo https://prometheus-community.github.io/helm-charts --version 88.3.0" \
    --values helm/kube-prometheus-stack.yaml
  kubectl apply --server-side -k k8s/monitoring
}

install_autoscaler() {
  install cluster-autoscaler kube-system "${CHART_AUTOSCALER:-}" \
    "cluster-autoscaler --repo https://kubernetes.github.io/autoscaler --version 9.59.0" \
    --values k8s/providers/eks-autoscaler.yaml \
    --set-string "autoDiscovery.clusterName=$(of_eks name)" --set-string "awsRegion=$(of_eks region)"
}

# Looked at before anything is made: what gitSync clones. Files of AIRFLOW_VALUES may say it, too.
git_repo() {
  local repo=${GIT_REPO:-$(git remote get-url origin 2>/dev/null || true)}
  case $repo in
    http*://*@*) fail "GIT_REPO: the address has a user in it, and would be shown to whoever may read a pod. Without it, and \
docs/platform.md for the Secret with the password" ;;
    https://* | http://* | git://* | ssh://* | *@*:*) echo "$repo" ;;
    *) [ -n "${AIRFLOW_VALUES:-}" ] || fail "GIT_REPO: the address of the repository that gitSync is to clone; found '$repo'" ;;
  esac
}

install_airflow() {
  local repo source file given=()
  repo=$(git_repo)
  # A file, before those of AIRFLOW_VALUES, which may say otherwise; --set would win over them.
  source=$(mktemp)
  echo "dags: {gitSync: {repo: \"$repo\", ref: \"${GIT_REF:-main}\"}}" >"$source"
  given+=(--values "$source")
  if [ -n "${IMAGE_REGISTRY:-}" ]; then
    given+=(--set-string "defaultAirflowRepository=$IMAGE_REGISTRY/bigdata/airflow"
      --set-string "config.bigdata.image_registry=$IMAGE_REGISTRY")
  else # the nodes have them; from a public registry it would be somebody else's "bigdata"
    given+=(--set-string images.airflow.pullPolicy=Never --set-string images.pod_template.pullPolicy=Never)
  fi
  for file in ${AIRFLOW_VALUES:-}; do given+=(--values "$file"); done
  # Jobs cannot be changed; those that have ended would refuse a new image.
  kubectl --namespace airflow delete job airflow-run-airflow-migrations airflow-create-user --ignore-not-found
  install airflow airflow "${CHART_AIRFLOW:-}" "airflow --repo https://airflow.apache.org --version 1.22.0" \
    --values helm/custom_values.yaml --values "helm/values-$OVERLAY.yaml" "${given[@]}"
  rm -f "$source"
  kubectl --namespace airflow wait job/airflow-create-user --for=condition=complete --timeout "$WAIT"
}

show_login() {
  local balancer
  balancer=$(kubectl --namespace airflow get service airflow-api-server --output 'jsonpath={.status.loadBalancer.ingress[0].hostname}')
  step "Airflow"
  [ -z "$balancer" ] || echo "http://$balancer:8080 from the cluster's network, or"
  cat <<TEXT
kubectl --namespace airflow port-forward service/airflow-api-server 8080:8080
then http://localhost:8080   user $(of_secret airflow airflow-admin username)
password: kubectl --namespace airflow get secret airflow-admin --output 'jsonpath={.data.password}' | base64 --decode
TEXT
}
