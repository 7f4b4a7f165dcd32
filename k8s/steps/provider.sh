# Where the cluster comes from. Sourced.

provider_up() {
  step "Cluster: $PROVIDER"
  case $PROVIDER in
    kind)
      need kind "https://kind.sigs.k8s.io"
      kind get clusters 2>/dev/null | grep -qx "$CLUSTER_NAME" \
        || kind create cluster --name "$CLUSTER_NAME" --config k8s/providers/kind.yaml --wait 5m
      kubectl config use-context "kind-$CLUSTER_NAME"
      ;;
    minikube)
      need minikube "https://minikube.sigs.k8s.io"
      minikube start --profile "$CLUSTER_NAME" --cpus 4 --memory 10g
      kubectl config use-context "$CLUSTER_NAME"
      ;;
    eks)
      need eksctl "https://eksctl.io"
      eksctl get cluster --config-file k8s/providers/eks.yaml >/dev/null 2>&1 \
        || eksctl create cluster --config-file k8s/providers/eks.yaml
      eksctl utils write-kubeconfig --config-file k8s/providers/eks.yaml
      ;;
    current) ;;
    *) fail "unknown provider $PROVIDER: kind, minikube, eks or current" ;;
  esac
  echo "context: $(kubectl config current-context)"
  kubectl get nodes
}

# The images of docker/, into a cluster that can take them from this machine; elsewhere IMAGE_REGISTRY has them.
provider_images() {
  case $PROVIDER in kind | minikube) ;; *) return 0 ;; esac
  [ -z "${IMAGE_REGISTRY:-}" ] || return 0
  step "Images"
  need docker "https://docs.docker.com/get-docker/"
  local name image
  for name in spark:4.2.0 airflow:3.3.2; do
    image=bigdata/$name
    docker build --quiet --file "docker/${name%%:*}/Dockerfile" --tag "$image" .
    case $PROVIDER in
      kind) kind load docker-image --name "$CLUSTER_NAME" "$image" ;;
      minikube) minikube image load --profile "$CLUSTER_NAME" "$image" ;;
    esac
  done
}

# Whether the whole cluster is gone, or stays because somebody said no; false where it is not ours.
provider_down() {
  local command
  case $PROVIDER in
    kind) command="kind delete cluster --name $CLUSTER_NAME" ;;
    minikube) command="minikube delete --profile $CLUSTER_NAME" ;;
    eks) command="eksctl delete cluster --config-file k8s/providers/eks.yaml --wait --disable-nodegroup-eviction" ;;
    current) return 1 ;;
    *) fail "unknown provider $PROVIDER: kind, minikube, eks or current" ;;
  esac
  if ask "Delete the cluster with all its data ($command)?"; then
    $command || fail "The cluster is not deleted."
  else
    echo "The cluster stays as it is."
  fi
}
