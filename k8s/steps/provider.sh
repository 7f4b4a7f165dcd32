# shellcheck shell=bash
# Where the cluster comes from. Sourced.

EKS=k8s/providers/eks.yaml
of_eks() { sed -n "s/^  $1: *\([^ #]*\).*/\1/p" "$EKS"; } # of its metadata: name, region

provider_up() {
  step "Cluster: $PROVIDER"
  case $PROVIDER in
    kind)
      need kind "https://kind.sigs.k8s.io"
      kind get clusters 2>/dev/null | grep -x "$CLUSTER_NAME" >/dev/null \
        || kind create cluster --name "$CLUSTER_NAME" --config k8s/providers/kind.yaml --wait 5m
      kubectl config use-context "kind-$CLUSTER_NAME"
      ;;
    minikube)
      need minikube "https://minikube.sigs.k8s.io"
      minikube start --profile "$CLUSTER_NAME" --cpus "${MINIKUBE_CPUS:-4}" --memory "${MINIKUBE_MEMORY:-10g}"
      kubectl config use-context "$CLUSTER_NAME"
      ;;
    eks)
      need eksctl "https://eksctl.io"
      if eksctl get cluster --config-file "$EKS" >/dev/null 2>&1; then # perhaps half of it; what is there is passed over
        eksctl create nodegroup --config-file "$EKS"
        eksctl create addon --config-file "$EKS"
        eksctl create podidentityassociation --config-file "$EKS"
      else
        eksctl create cluster --config-file "$EKS"
      fi
      eksctl utils write-kubeconfig --config-file "$EKS"
      AWS_REGION=${AWS_REGION:-$(of_eks region)}
      ;;
    current) ;;
  esac
  echo "context: $(kubectl config current-context)"
  kubectl get nodes
  if [ "$PROVIDER" = eks ]; then install_autoscaler; fi
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

# How a cluster that we made is deleted; nothing where it is not ours.
provider_command() {
  case $PROVIDER in
    kind) echo "kind delete cluster --name $CLUSTER_NAME" ;;
    minikube) echo "minikube delete --profile $CLUSTER_NAME" ;;
    eks) echo "eksctl delete cluster --config-file $EKS --wait --disable-nodegroup-eviction" ;;
  esac
}
